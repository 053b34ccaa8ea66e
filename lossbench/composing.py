"""Configs: composed from files by Hydra, set, resolved, and made into runs with the runs that these need before them.

Hydra takes 60 ms to compose a config, so one is composed once per combination of group choices, where possible not even
that, and the other keys are set on a copy.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, cast

from annotated_types import Ge, Len
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lossbench import binding, contract, preparing
from lossbench.errors import UsageError
from lossbench.frozen import replacing
from lossbench.preparing import Prepared, one_name

# What a run that is needed before another has from it, where its overrides do not say otherwise
INHERITED = ("seed", "data_seed", "device", "threads", "deterministic", "outputs", "data", "dataset", "variant")
OF_THE_SAME_MODEL = ("model", "head")  # these too, where the task says so


class Files:
    """The config files of the groups, each read once."""

    def __init__(self, config_loader: Any):
        self.config_loader = config_loader
        self.kept: dict[str, dict[str, Any] | None] = {}

    def node(self, group: str, name: str) -> dict[str, Any] | None:
        """The content of a file that fills the node of its group and nothing else; otherwise None."""
        path = f"{group}/{name}"
        if path not in self.kept:
            found = self.config_loader.repository.load_config(path)
            is_plain = (
                found is not None
                and not any((found.header or {}).values())
                and not found.defaults_list
                and OmegaConf.is_dict(found.config)
            )
            self.kept[path] = cast(dict, OmegaConf.to_container(found.config)) if is_plain else None
        return self.kept[path]


@dataclass
class Composed:
    """A config composed for one combination of group choices, from which many runs are made.

    plain      unresolved, in plain containers
    """

    plain: dict[str, Any]
    choices: dict[str, Any]
    overrides: list[str]
    files: Files

    @staticmethod
    def of(files: Files, overrides: list[str]) -> "Composed":
        from hydra.types import RunMode

        given = replacing(overrides)
        config = files.config_loader.load_configuration("train", given, run_mode=RunMode.RUN, from_shell=False)
        choices = OmegaConf.to_container(config.hydra.runtime.choices)
        assert isinstance(choices, dict)
        with open_dict(config):
            del config["hydra"]
        plain = OmegaConf.to_container(config)
        assert isinstance(plain, dict)
        kept = {str(key): one_name(value) for key, value in choices.items() if not str(key).startswith("hydra/")}
        return Composed({str(key): value for key, value in plain.items()}, kept, overrides, files)

    def with_choices(self, names: Mapping[str, str], overrides: list[str]) -> "Composed | None":
        """With other files of some groups; None where a node holds more than the file of its group."""
        if any(self.plain.get(group) != self.files.node(group, self.choices[group]) for group in names):
            return None
        nodes = {group: self.files.node(group, name) for group, name in names.items()}
        choices = {group: one_name(name) for group, name in names.items()}
        return Composed({**self.plain, **nodes}, {**self.choices, **choices}, overrides, self.files)

    @cached_property
    def resolved(self) -> dict[str, Any]:
        return resolve(OmegaConf.create(self.plain))

    @cached_property
    def referenced(self) -> set[str | None]:
        return references(self.plain)

    def has(self, key: str) -> bool:
        """Whether this combination has the key; a mapping may be replaced as a whole."""
        node: Any = self.plain
        for part in key.split("."):
            if not isinstance(node, dict) or part not in node:
                return False
            node = node[part]
        return True

    def keys(self) -> Iterator[str]:
        def walk(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
            for key, value in node.items():
                yield f"{prefix}{key}"
                if isinstance(value, dict):
                    yield from walk(value, f"{prefix}{key}.")

        return walk(self.plain, "")

    def configured(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """The resolved config with these keys set. The parts that nobody set are shared between all of them."""
        made = self.resolved
        if any(self._is_involved(key, value) for key, value in setting.items()):
            config = OmegaConf.create(self.plain)
            try:
                for key, value in setting.items():
                    replaces = len(replacing([f"{key}={as_override(value)}"])) > 1
                    OmegaConf.update(config, key, value, merge=not replaces)
            except OmegaConfBaseException as error:
                raise UsageError(" ".join(str(error).split())) from None
            return resolve(config)
        for key, value in setting.items():
            made = _with(made, key.split("."), value)
        return made

    def _is_involved(self, key: str, value: Any) -> bool:
        """Whether setting the key takes OmegaConf: something refers to it, or its value is not a plain one."""
        if isinstance(value, dict | list) or (isinstance(value, str) and "${" in value):
            return True
        return any(
            reference is None or f"{key}.".startswith(f"{reference}.") or f"{reference}.".startswith(f"{key}.")
            for reference in self.referenced
        )

    def prepare(self, setting: Mapping[str, Any], *, here: bool = True) -> Prepared:
        overrides = [*self.overrides, *(f"{key}={json.dumps(value)}" for key, value in setting.items())]
        choices = {key: value for key, value in self.choices.items() if key != "search"}
        try:
            config = {**self.configured(setting), "choices": choices}
            return prepare(config, self.files.config_loader, tuple(overrides), here=here)
        except UsageError as error:
            raise UsageError(f"{error} (in the run {' '.join(overrides)})") from None


def resolve(config: Any) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise UsageError(" ".join(str(error).split())) from None
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def references(node: Any, path: tuple[str, ...] = ()) -> set[str | None]:
    """The keys that interpolations in a config refer to; None for one that could refer to anything."""
    if isinstance(node, dict):
        return set().union(*(references(value, (*path, str(key))) for key, value in node.items()))
    if isinstance(node, list):
        return set().union(*(references(value, (*path, str(i))) for i, value in enumerate(node)))
    if not isinstance(node, str) or "${" not in node:
        return set()
    found: set[str | None] = set()
    for reference in re.findall(r"\$\{([^{}]*)\}", node):
        if reference.startswith("oc.env:"):
            continue
        dots = len(reference) - len(reference.lstrip("."))
        if not re.fullmatch(r"[\w.]+", reference) or dots > len(path):
            found.add(None)
        else:
            found.add(".".join([*path[:-dots], reference[dots:]]) if dots else reference)
    return found | ({None} if node.count("${") != len(re.findall(r"\$\{([^{}]*)\}", node)) else set())


def _with(node: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """A copy of the mapping with one value set; only the mappings on its path are copied."""
    first, *rest = path
    return {**node, first: _with(node[first], rest, value) if rest else value}


def overrides(mapping: Mapping[str, Any]) -> list[str]:
    """{loss: focal, optimizer.lr: 0.1} in the grammar of the command line: loss=focal, optimizer.lr=0.1."""
    return [f"{key}={as_override(value)}" for key, value in mapping.items()]


def as_override(value: Any) -> str:
    """A value in that grammar."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{as_override(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(as_override, value)) + "]"
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_][\w./-]*", value) and value not in ("null", "true", "false")
        return value if plain else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return json.dumps(value)


# --- runs that a run needs before it -------------------------------------------------------------------------------


def trained_before(
    *, train: Annotated[Sequence[str], Len(1)] | Mapping, seed_offset: Annotated[int, Ge(0)] = 0
) -> None:
    """What may stand in the place of the folder of a finished run: that run, to be made first.

    train         overrides of its own, such as {model: convnet, budget.epochs: 5} or ['model=convnet']; data set,
                  variants, seed, device and threads are those of the run that needs it, where none says otherwise;
                  of a model that the task has in ``same_model``, such as one to start from, model and head too. An
                  override of one key of a group, such as model.depth, is one of the group
    seed_offset   added to that seed: the members of an ensemble differ in it
    """


def prepare(
    config: dict[str, Any], config_loader: Any, overrides: tuple[str, ...] = (), *, here: bool = True
) -> Prepared:
    """``preparing.prepare``, with the runs that the config wants to have trained before. Raises UsageError."""
    task = config.get("task")
    wanted = binding.frozen_models(task) if isinstance(task, Mapping) and "_target_" in task else {}
    alike = _same_model(task["_target_"]) if wanted else ()  # type: ignore[index]
    before: list[Prepared] = []

    def folder_of(key: str, entry: Any) -> Any:
        if not isinstance(entry, Mapping):
            return entry
        contract.check(trained_before, entry, f"task.{key}")
        if "train" not in entry:
            raise UsageError(f"task.{key}.train is missing: the overrides of the run to train, or give a folder.")
        inherited = (*INHERITED, *OF_THE_SAME_MODEL) if key in alike else INHERITED
        made = _prerequisite(entry, config, config_loader, f"task.{key}", here, inherited)
        before.append(made)
        return {**entry, "run": made.run, "folder": str(made.folder)}

    frozen = {
        key: [folder_of(key, entry) for entry in value] if isinstance(value, list) else folder_of(key, value)
        for key, value in wanted.items()
    }
    if before:
        config = {**config, "task": {**config["task"], **frozen}}
    prepared = preparing.prepare(config, overrides, here=here)
    return dataclasses.replace(prepared, prerequisites=tuple(before)) if before else prepared


def _same_model(target: str) -> tuple[str, ...]:
    from hydra.utils import get_object

    return getattr(get_object(target), "same_model", ())


def _prerequisite(
    entry: Mapping[str, Any],
    config: Mapping[str, Any],
    config_loader: Any,
    key: str,
    here: bool,
    inherited: Sequence[str] = INHERITED,
) -> Prepared:
    train = entry["train"] if isinstance(entry["train"], list) else overrides(entry["train"])
    own = [override.lstrip("+~").partition("=")[0].partition(".")[0] for override in train]
    inherited = [name for name in inherited if name not in own]
    groups = [name for name in ("dataset", *OF_THE_SAME_MODEL) if name in inherited]
    choices = [f"{name}={config['choices'][name]}" for name in groups]
    try:
        composed = Composed.of(Files(config_loader), [*choices, *train])
        made = {**composed.resolved, **{name: config[name] for name in inherited if name in config}}
        made["choices"] = {name: value for name, value in composed.choices.items() if name != "search"}
        made["choices"]["paper"] = None
        if "seed" in inherited and isinstance(made["seed"], int):
            made["seed"] += entry.get("seed_offset", 0)
        return prepare(made, config_loader, tuple(train), here=here)
    except Exception as error:
        from lossbench.hydra_errors import worded

        message = str(error) if isinstance(error, UsageError) else worded(error)
        if message is None:
            raise
        raise UsageError(f"{key}.train: {message}") from None
