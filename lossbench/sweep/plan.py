"""The plan of a sweep: every run's resolved config, made and checked before run 0, frozen in one file.

Hydra composes every job of a sweep twice from the files on disk. Here a config is composed once per combination of
group choices, and where only plain choices differ not even that; the other swept keys are set on a copy. What the plan
says is what runs, whatever happens to a YAML.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lossbench.checkpoint import write_atomically
from lossbench.errors import UsageError, nearest
from lossbench.run import NOT_IDENTITY, Prepared, load_dataset, one_name, prepare
from lossbench.sweep.search import keys_of, trials

ALL = "all"
FILE = "plan.jsonl"


@dataclass
class Swept:
    """One override of the command line: a key and the values it takes; a fixed key takes one."""

    key: str
    prefix: str  # '', '+', '++' or '~'
    values: list[Any]
    texts: list[str]  # the values as the override grammar writes them
    is_group: bool
    all: bool = False  # every name, or every one that fits a pattern, as far as it goes with the rest

    @property
    def composes(self) -> bool:
        """Whether it changes what is composed; other overrides are set afterwards."""
        return self.is_group or bool(self.prefix) or self.key.startswith("search.")

    def override(self, text: str) -> str:
        return f"~{self.key}" if self.prefix == "~" else f"{self.prefix}{self.key}={text}"


@dataclass
class Plan:
    """The runs of a sweep in the order of the grid, each once."""

    runs: list[Prepared] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)  # the keys with more than one value
    skipped: dict[str, str] = field(default_factory=dict)  # {choice that was left out of an 'all': reason}
    arms: int = 0  # configurations that differ in more than the seed and the trial of a search
    trials: int = 0  # of the search, for each arm; 0 where nothing is searched
    repeated: int = 0  # settings that came to a run which the plan had already

    @property
    def name(self) -> str:
        return hashlib.sha256("".join(prepared.run for prepared in self.runs).encode()).hexdigest()[:12]


def parse(arguments: Sequence[str], config_loader: Any) -> list[Swept]:
    """The overrides by Hydra's own grammar: choices, ranges, globs. Raises UsageError."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override, ValueType

    groups = set(config_loader.list_groups(""))
    found: dict[str, Swept] = {}
    for override in OverridesParser.create(config_loader=config_loader).parse_overrides(list(arguments)):
        key = override.get_key_element().lstrip("+~")  # with its package, as in optimizer@optimizer.base
        is_group = override.key_or_group in groups
        if override.is_hydra_override():
            continue
        if override.is_sweep_override():
            if not override.is_discrete_sweep():
                raise UsageError(
                    f"{key}: an interval has no values to try. Use choices or range(...), or a search space: search=..."
                )
            values: list[Any] = [Override._convert_value(value) for value in override.sweep_iterator()]  # type: ignore[arg-type]
            texts = list(override.sweep_string_iterator())
        else:
            values, texts = [override.value()], [override.get_value_element_as_str()]
        prefix = override.get_key_element().removesuffix(key)
        if key in found and is_group:
            raise UsageError(f"{key} is given twice. Give it once, with all its values.")
        # As in a single run the last value of a key counts.
        pattern = override.value_type is ValueType.GLOB_CHOICE_SWEEP
        found[key] = _expand_all(Swept(key, prefix, values, texts, is_group, all=pattern), config_loader)
    for swept in found.values():
        _check_swept(swept)
    return list(found.values())


def _expand_all(swept: Swept, config_loader: Any) -> Swept:
    """'all' in the place of a name: every name of the group."""
    if not (swept.is_group and ALL in swept.values):
        return swept
    names = list(config_loader.get_group_options(swept.key.split("@")[0]))
    return Swept(swept.key, swept.prefix, names, names, True, all=True)


def _check_swept(swept: Swept) -> None:
    if not swept.values:
        raise UsageError(f"{swept.key}: there is nothing that fits. `lossbench list` shows the names there are.")
    if len(swept.values) == 1:
        return
    if len(swept.texts) != len({json.dumps(value, default=str) for value in swept.values}):
        raise UsageError(f"{swept.key}: the same value is given twice. Give each value once.")
    if not swept.is_group and swept.key.split(".")[0] in NOT_IDENTITY:
        raise UsageError(f"{swept.key} cannot change a result, so there is nothing to compare. Give it one value.")


def make_plan(arguments: Sequence[str], config_loader: Any, *, here: bool = True) -> Plan:
    """Expand, compose, set, check. Raises UsageError before anything is written or run.

    ``here`` is False for runs of other machines, whose devices are not looked for on this one.
    """
    overrides = parse(arguments, config_loader)
    values = [o for o in overrides if not o.composes]
    plan = Plan(swept=[o.key for o in overrides if len(o.values) > 1])
    used: set[str] = set()
    hosted: set[str] = set()
    runs: dict[str, Prepared] = {}
    arms = set()
    search: dict[str, Any] = {}
    known: set[str] = set()
    for combination, base in _combinations([o for o in overrides if o.composes], config_loader):
        known.update(base.keys())
        if not _hosted(base, overrides, plan.skipped):
            continue
        hosted.add(base.choices["loss"])
        own = [o for o in values if base.has(o.key)]
        search = base.resolved.get("search") or {}
        spaces = trials(search, base.choices["loss"], base.has) if search else [{}]
        for loss in search.get("per_loss") or {}:
            if loss not in (losses := config_loader.get_group_options("loss")):
                raise UsageError(f"search.per_loss.{loss}: there is no such loss{nearest(loss, losses) or '.'}")
        plan.trials = len(spaces) if search else 0
        for key in sorted(spaces[0].keys() & {o.key for o in own}):
            raise UsageError(f"{key} is given, and search={base.choices['search']} tries values of it. Leave one out.")
        used.update(o.key for o in own)
        used.update(spaces[0])
        for chosen in itertools.product(*(o.values for o in own)):
            setting = dict(zip((o.key for o in own), chosen, strict=True))
            arms.add((combination, json.dumps({k: v for k, v in setting.items() if k != "seed"})))
            for trial in spaces:
                prepared = base.prepare({**trial, **setting}, here=here)
                plan.repeated += prepared.run in runs
                runs.setdefault(prepared.run, prepared)
    for key in [*(o.key for o in values), *keys_of(search, hosted)]:
        if key not in used:
            raise UsageError(
                f"{key}: no run of this sweep has such a key{nearest(key, sorted(known)) or '.'} "
                "`lossbench train --cfg job` shows all keys of a config."
            )
    plan.skipped = {choice: reason for choice, reason in plan.skipped.items() if choice.split("=")[1] not in hosted}
    plan.runs, plan.arms = list(runs.values()), len(arms)
    return plan


def _hosted(base: "Composed", overrides: Sequence[Swept], skipped: dict[str, str]) -> bool:
    """Whether the task of this combination provides what the loss and the regularizers need.

    A loss that came from 'all' or a pattern is left out where it does not; one that was named raises UsageError.
    """
    config, loss = base.resolved, base.choices["loss"]
    everything = any(o.key == "loss" and o.all for o in overrides)
    reason = _lacking(config["loss"]["_target_"], config["task"]["_target_"], config)
    if reason is None and everything:
        given = {o.key for o in overrides}
        missing = [f"loss.{k}" for k, v in config["loss"].items() if v == "???" and f"loss.{k}" not in given]
        reason = f"needs {', '.join(missing)}" if missing else None
    if reason is not None and everything:
        skipped[f"loss={loss}"] = reason
        return False
    for group, name, entry in [
        ("loss", loss, config["loss"]),
        *(("regularizer", name, entry) for name, entry in (config.get("regularizer") or {}).items()),
    ]:
        reason = _lacking(entry["_target_"], config["task"]["_target_"], config)
        if reason is not None:
            raise UsageError(
                f"{group}={name} {reason}, which task={base.choices['task']} does not provide. Choose another {group}, "
                f"a data set of another task, or loss=all for every loss that this task can host."
            )
    return True


def _lacking(function: str, task: str, config: Mapping[str, Any]) -> str | None:
    if not _missing(function, task):
        return None
    try:
        split = load_dataset(config).train
    except Exception:  # the run that needs it will say what is wrong
        return None
    from lossbench.objective import missing

    lacking = missing(_object(function), _object(task), ("x", *split.labels, "ids"))  # a data set may have more
    return f"needs {', '.join(lacking)}" if lacking else None


@cache
def _missing(function: str, task: str) -> tuple[str, ...]:
    from lossbench.objective import missing

    return tuple(missing(_object(function), _object(task)))


def _object(target: str) -> Any:
    from hydra.utils import get_object

    try:
        return get_object(target)
    except Exception as error:
        raise UsageError(f"_target_={target} cannot be loaded: {error}") from None


# --- composing ---------------------------------------------------------------------------------------------------


def _combinations(overrides: Sequence[Swept], config_loader: Any) -> Iterator[tuple[tuple[str, ...], "Composed"]]:
    """Every combination of the choices, with its config.

    Hydra takes 60 ms to compose one. A combination that differs from a composed one only in plain choices gets the
    files of those in the place of the others.
    """
    files = Files(config_loader)
    plain = [
        o.is_group
        and not o.prefix
        and "@" not in o.key
        and len(o.texts) > 1
        and all(files.node(o.key, text) for text in o.texts)
        for o in overrides
    ]
    bases: dict[tuple[str, ...], Composed] = {}
    for texts in itertools.product(*(o.texts for o in overrides)):
        given = [o.override(text) for o, text in zip(overrides, texts, strict=True)]
        rest = tuple(text for text, is_plain in zip(texts, plain, strict=True) if not is_plain)
        made: Composed | None = None
        if rest in bases:
            wanted = {o.key: text for o, text, is_plain in zip(overrides, texts, plain, strict=True) if is_plain}
            made = bases[rest].with_choices(wanted, given)
        if made is None:
            made = Composed.of(files, given)
            bases.setdefault(rest, made)
        yield texts, made


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

        config = files.config_loader.load_configuration("train", overrides, run_mode=RunMode.RUN, from_shell=False)
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
                    OmegaConf.update(config, key, value, merge=True)
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
            return prepare({**self.configured(setting), "choices": choices}, tuple(overrides), here=here)
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


# --- the file ----------------------------------------------------------------------------------------------------


def write(plan: Plan, folder: Path) -> Path:
    """The frozen plan: one line a run, with its whole config. Raises UsageError where nothing can be written."""
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, b"".join(map(to_line, plan.runs)))
    except OSError as error:
        raise UsageError(
            f"outputs: cannot write to {folder}: {error.strerror}. Choose another folder with outputs=..."
        ) from None
    return path


def to_line(prepared: Prepared) -> bytes:
    """A run of a frozen plan."""
    row = {
        "run": prepared.run,
        "folder": str(prepared.folder),
        "outputs": str(prepared.outputs),
        "overrides": prepared.overrides,
        "config": prepared.config,
    }
    return json.dumps(row).encode() + b"\n"


def from_line(line: bytes) -> Prepared:
    row = json.loads(line)
    return Prepared(row["config"], row["run"], Path(row["folder"]), Path(row["outputs"]), tuple(row["overrides"]))


def read(path: Path) -> list[Prepared]:
    """The runs of a frozen plan."""
    return [from_line(line) for line in path.read_bytes().splitlines()]


def read_one(path: Path, index: int) -> Prepared:
    """One run of a frozen plan."""
    with open(path, "rb") as file:
        return from_line(next(itertools.islice(file, index, None)))
