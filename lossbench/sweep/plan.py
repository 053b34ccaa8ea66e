"""The plan of a sweep: every run's resolved config, made and checked before run 0, frozen in one file.

Hydra composes every job of a sweep twice from the files on disk. Here a config is composed once per combination of
group choices, and where only plain choices differ not even that; the other swept keys are set on a copy. What the plan
says is what runs, whatever happens to a YAML.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lossbench.building import load_dataset
from lossbench.checkpoint import write_atomically
from lossbench.composing import Composed, Files
from lossbench.errors import UsageError, nearest
from lossbench.preparing import NOT_IDENTITY, Prepared
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


def _hosted(base: Composed, overrides: Sequence[Swept], skipped: dict[str, str]) -> bool:
    """Whether the task of this combination provides what the loss, the regularizers and the reweightings need.

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
        *(("reweighting", name, entry) for name, entry in (config.get("reweighting") or {}).items()),
    ]:
        if not isinstance(entry, Mapping) or "_target_" not in entry:  # a key of what is not chosen: preparing says so
            continue
        also = ("losses",) if group == "reweighting" else ()
        reason = _lacking(entry["_target_"], config["task"]["_target_"], config, also)
        if reason is not None:
            task = base.choices["task"]
            what = f", which task={task} does not provide" if reason.startswith("needs") else f" (task={task})"
            raise UsageError(
                f"{group}={name} {reason}{what}. Choose another {group}, "
                f"a data set of another task, or loss=all for every loss that this task can host."
            )
    return True


def _lacking(function: str, task: str, config: Mapping[str, Any], also: tuple[str, ...] = ()) -> str | None:
    if not _missing(function, task, also):
        return _unsuited(function, task)
    try:
        split = load_dataset(config).train
    except Exception:  # the run that needs it will say what is wrong
        return None
    from lossbench.objective import missing

    # A data set may have more than its task asks for.
    lacking = missing(_object(function), _object(task), ("x", *split.labels, "ids"), also)
    return f"needs {', '.join(lacking)}" if lacking else _unsuited(function, task)


@cache
def _missing(function: str, task: str, also: tuple[str, ...]) -> tuple[str, ...]:
    from lossbench.objective import missing

    return tuple(missing(_object(function), _object(task), None, also))


@cache
def _unsuited(function: str, task: str) -> str | None:
    from lossbench.objective import unsuited

    return unsuited(_object(function), _object(task))


def _object(target: str) -> Any:
    from hydra.utils import get_object

    try:
        return get_object(target)
    except Exception as error:
        raise UsageError(f"_target_={target} cannot be loaded: {error}") from None


# --- composing ---------------------------------------------------------------------------------------------------


def _combinations(overrides: Sequence[Swept], config_loader: Any) -> Iterator[tuple[tuple[str, ...], Composed]]:
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
    return json.dumps(_to_row(prepared)).encode() + b"\n"


def _to_row(prepared: Prepared) -> dict[str, Any]:
    return {
        "run": prepared.run,
        "folder": str(prepared.folder),
        "outputs": str(prepared.outputs),
        "overrides": prepared.overrides,
        "config": prepared.config,
        "prerequisites": [_to_row(before) for before in prepared.prerequisites],
    }


def from_line(line: bytes) -> Prepared:
    return _from_row(json.loads(line))


def _from_row(row: dict[str, Any]) -> Prepared:
    before = tuple(map(_from_row, row["prerequisites"]))
    folders = Path(row["folder"]), Path(row["outputs"])
    return Prepared(row["config"], row["run"], *folders, tuple(row["overrides"]), before)


def read(path: Path) -> list[Prepared]:
    """The runs of a frozen plan."""
    return [from_line(line) for line in path.read_bytes().splitlines()]


def read_one(path: Path, index: int) -> Prepared:
    """One run of a frozen plan."""
    with open(path, "rb") as file:
        return from_line(next(itertools.islice(file, index, None)))
