"""The plan of a sweep: every run's resolved config, made and checked before run 0, frozen in one file.

Hydra composes every job of a sweep twice from the files on disk. Here a config is composed once per combination of
group choices; the other swept keys are set on a copy. What the plan says is what runs, whatever happens to a YAML.
"""

import copy
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from lossbench.checkpoint import write_atomically
from lossbench.errors import UsageError, nearest
from lossbench.locations import config_files
from lossbench.run import Prepared, one_name, prepare
from lossbench.sweep.search import trials

ALL = "all"


@dataclass
class Swept:
    """One override of the command line: a key and the values it takes; a fixed key takes one."""

    key: str
    prefix: str  # '', '+', '++' or '~'
    values: list[Any]
    texts: list[str]  # the values as the override grammar writes them
    is_group: bool


@dataclass
class Plan:
    """runs in the order of the grid, each once; ``swept`` are the keys with more than one value."""

    runs: list[Prepared]
    swept: list[str]
    skipped: dict[str, str]  # {choice that was left out of an 'all': reason}

    @property
    def name(self) -> str:
        return hashlib.sha256("".join(sorted(p.run for p in self.runs)).encode()).hexdigest()[:12]

    def pending(self) -> list[Prepared]:
        return [prepared for prepared in self.runs if not prepared.finished]


def parse(arguments: Sequence[str], config_loader: Any) -> list[Swept]:
    """The overrides by Hydra's own grammar: choices, ranges, globs."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    groups = set(config_loader.list_groups(""))
    found: dict[str, Swept] = {}
    for override in OverridesParser.create(config_loader=config_loader).parse_overrides(list(arguments)):
        key = override.key_or_group
        if override.is_hydra_override():
            continue
        if override.is_sweep_override():
            if not override.is_discrete_sweep():
                raise UsageError(
                    f"{key}: an interval has no values to try. Use choices or range(...), or a search space: search=..."
                )
            values = [_plain(value) for value in override.sweep_iterator()]
            texts = list(override.sweep_string_iterator())
        else:
            values, texts = [override.value()], [override.get_value_element_as_str()]
        prefix = override.get_key_element().removesuffix(key)
        found[key] = Swept(key, prefix, values, texts, is_group=key in groups)
    return list(found.values())


def _plain(value: Any) -> Any:
    from hydra.core.override_parser.types import Override

    return Override._convert_value(value)


def make_plan(arguments: Sequence[str], config_loader: Any) -> Plan:
    """Expand, compose, set, check. Raises UsageError before anything is written or run."""
    overrides = parse(arguments, config_loader)
    skipped: dict[str, str] = {}
    overrides = [_expand_all(swept, overrides, config_loader, skipped) for swept in overrides]
    composed = [o for o in overrides if o.is_group or o.prefix]  # these change what is composed
    values = [o for o in overrides if not (o.is_group or o.prefix)]
    used: set[str] = set()
    runs: dict[str, Prepared] = {}
    for texts in itertools.product(*(o.texts for o in composed)):
        groups = [f"{o.prefix}{o.key}={text}" if o.prefix != "~" else f"~{o.key}" for o, text in zip(composed, texts, strict=True)]  # fmt: skip
        base = Composed(config_loader, groups)
        own = [o for o in values if base.has(o.key)]
        used |= {o.key for o in own}
        for setting in base.settings(own):
            prepared = base.prepare(setting)
            runs.setdefault(prepared.run, prepared)
    for override in values:
        if override.key not in used:
            known = sorted(base.keys())
            raise UsageError(
                f"{override.key}: no run of this sweep has such a key{nearest(override.key, known) or '.'} "
                "`lossbench train --cfg job` shows all keys of a config."
            )
    for seen in [o for o in overrides if len(o.values) > 1]:
        if len(seen.values) != len({json.dumps(v, default=str) for v in seen.values}):
            raise UsageError(f"{seen.key}: the same value is given twice. Give each value once.")
    return Plan(list(runs.values()), [o.key for o in overrides if len(o.values) > 1], skipped)


def _expand_all(swept: Swept, overrides: list[Swept], config_loader: Any, skipped: dict[str, str]) -> Swept:
    """'all' in the place of a name: every name of the group; of the losses, every one that the task can host."""
    if not (swept.is_group and ALL in swept.values):
        return swept
    names = list(config_files(swept.key))
    if swept.key == "loss":
        others = [f"{o.key}={o.texts[0]}" for o in overrides if o.is_group and o.key != "loss"]
        task = Composed(config_loader, others).config.task
        hosted = {name: _why_not(name, task["_target_"]) for name in names}
        skipped.update({f"loss={name}": reason for name, reason in hosted.items() if reason})
        names = [name for name, reason in hosted.items() if not reason]
    return Swept(swept.key, swept.prefix, names, names, True)


def _why_not(loss: str, task: str) -> str | None:
    from hydra.utils import get_object

    from lossbench.objective import missing

    target = OmegaConf.load(config_files("loss")[loss])["_target_"]  # type: ignore[index]
    lacking = missing(get_object(target), get_object(task))
    return f"needs {', '.join(lacking)}" if lacking else None


class Composed:
    """A config composed by Hydra for one combination of group choices, from which many runs are made."""

    def __init__(self, config_loader: Any, overrides: list[str]):
        from hydra.types import RunMode

        config = config_loader.load_configuration("train", overrides, run_mode=RunMode.RUN, from_shell=False)
        choices = OmegaConf.to_container(config.hydra.runtime.choices)
        assert isinstance(choices, dict)
        with open_dict(config):
            del config["hydra"]
        self.overrides = overrides
        self.config: DictConfig = config
        self.choices = {
            key: one_name(value) for key, value in choices.items() if not key.startswith("hydra/") and key != "search"
        }

    def has(self, key: str) -> bool:
        """Whether this combination has the key; a mapping may be replaced as a whole."""
        node: Any = self.config
        for part in key.split("."):
            if not isinstance(node, DictConfig) or part not in node:
                return False
            node = node._get_node(part)
        return True

    def keys(self) -> Iterator[str]:
        def walk(node: Any, prefix: str) -> Iterator[str]:
            for key in node:
                yield f"{prefix}{key}"
                if isinstance(node._get_node(key), DictConfig):
                    yield from walk(node._get_node(key), f"{prefix}{key}.")

        return walk(self.config, "")

    def settings(self, overrides: Sequence[Swept]) -> Iterator[dict[str, Any]]:
        """{key: value} of every run: the grid of the overrides, times the trials of a search space."""
        search = self.config.get("search")
        spaces = trials(OmegaConf.to_container(search), self.choices["loss"], self.has) if search else [{}]
        for combination in itertools.product(*(o.values for o in overrides)):
            for trial in spaces:
                yield {**trial, **dict(zip((o.key for o in overrides), combination, strict=True))}

    def prepare(self, setting: Mapping[str, Any]) -> Prepared:
        config = copy.deepcopy(self.config)
        try:
            for key, value in setting.items():
                OmegaConf.update(config, key, value, merge=True)
            plain = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException as error:
            raise UsageError(" ".join(str(error).split())) from None
        assert isinstance(plain, dict)
        overrides = [*self.overrides, *(f"{key}={json.dumps(value)}" for key, value in setting.items())]
        try:
            return prepare({**plain, "choices": self.choices}, tuple(overrides))
        except UsageError as error:
            raise UsageError(f"{error} (in the run {' '.join(overrides)})") from None


def write(plan: Plan, folder: Path) -> Path:
    """The frozen plan: one line a run, with its whole config."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "plan.jsonl"
        lines = [
            json.dumps({"run": p.run, "folder": str(p.folder), "outputs": str(p.outputs),
                        "overrides": p.overrides, "config": p.config})
            for p in plan.runs
        ]  # fmt: skip
        write_atomically(path, ("\n".join(lines) + "\n").encode())
    except OSError as error:
        raise UsageError(
            f"outputs: cannot write to {folder}: {error.strerror}. Choose another folder with outputs=..."
        ) from None
    return path


def read(path: Path) -> list[Prepared]:
    """The runs of a frozen plan."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        Prepared(row["config"], row["run"], Path(row["folder"]), Path(row["outputs"]), tuple(row["overrides"]))
        for row in rows
    ]
