"""A run before it is run: its config checked, its identity and its folder.

A run is named by the hash of its resolved config, without what cannot change its results (paths, logging, checkpoint
cadence). The same config is the same run.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Interval

from lossbench import contract
from lossbench.aggregations.aggregation import check as check_aggregation
from lossbench.binding import bind, frozen_models
from lossbench.building import weights_digest
from lossbench.errors import UsageError
from lossbench.frozen import as_asked
from lossbench.results import record as records

GROUPS = ("task", "dataset", "model", "head", "loss", "reduction", "optimizer", "schedule", "precision", "aggregation",
          "advantage", "recipe", "paper")  # fmt: skip
LIST_GROUPS = ("variant", "augmentation", "regularizer", "reweighting")
# What the hash leaves out: it cannot change a result.
NOT_IDENTITY = ("outputs", "logger", "checkpoint", "paper", "recipe", "data", "search", "retry", "fail_fast",
                "time_limit", "profile", "continue_from", "shard")  # fmt: skip
WHERE_CHOSEN = {"aggregation": ("aggregation", "aggregation_of"), "advantage": ("advantage",)}  # otherwise not hashed
PATHS = ("root", "cache")


@dataclass(frozen=True)
class Prepared:
    """A validated run: its resolved config (plain containers), identity and folder."""

    config: dict[str, Any]
    run: str
    folder: Path
    outputs: Path
    overrides: tuple[str, ...] = ()
    prerequisites: tuple["Prepared", ...] = ()  # runs that are trained before, because this one needs their models

    @property
    def name(self) -> str:
        return str(self.folder.relative_to(self.outputs / "runs"))

    @property
    def record(self) -> dict[str, Any] | None:
        return records.read(self.folder)

    @property
    def finished(self) -> bool:
        found = self.record
        return found is not None and found["status"] in records.FINISHED and found["run"] == self.run


def root_settings(
    *,
    seed: Annotated[int, Ge(0)],
    data_seed: Annotated[int, Ge(0)],
    device: str,
    threads: Annotated[int, Ge(1)],
    deterministic: bool,
    batch_size: Annotated[int, Ge(1)],
    accumulation: Annotated[int, Ge(1)],
    clip_norm: Annotated[float, Gt(0)] | None,
    ema: Annotated[float, Interval(gt=0, lt=1)] | None,
    compile: bool | Literal["graphs"],
    channels_last: bool,
    weight_decay_on_all: bool,
    aggregation_of: Literal["terms", "examples"],
    outputs: str,
    retry: Literal["failed"] | None,
    fail_fast: Annotated[int, Ge(1)] | None,
    time_limit: Annotated[float, Gt(0)] | None,
    continue_from: str | None,
    profile: bool,
    shard: bool,
) -> None:
    """The keys at the root of the config, their types and ranges."""


def budget(
    *,
    epochs: Annotated[float, Gt(0)] | None,
    steps: Annotated[int, Ge(1)] | None,
    examples: Annotated[int, Ge(1)] | None,
    seconds: Annotated[float, Gt(0)] | None,
) -> None:
    """Exactly one of them counts: epochs, unless one of the others is set."""


def evaluation(
    *,
    epochs: Annotated[float, Gt(0)] | None,
    steps: Annotated[int, Ge(1)] | None,
    batch_size: Annotated[int, Ge(1)],
) -> None: ...


def checkpoint_settings(
    *, seconds: Annotated[float, Ge(0)] | None, keep: Sequence[Annotated[int, Ge(1)]], keep_weights: bool
) -> None: ...


def data_settings(*, workers: Annotated[int, Ge(0)], resident: bool | None) -> None: ...


def selection(*, metric: str | None, direction: Literal["higher", "lower"] | None) -> None: ...


def precision(*, autocast: Literal["bfloat16", "float16"] | None, tf32: bool, loss_scaling: bool) -> None: ...


SETTINGS: dict[str, Callable] = {
    "budget": budget,
    "evaluation": evaluation,
    "checkpoint": checkpoint_settings,
    "data": data_settings,
    "selection": selection,
    "precision": precision,
}


def prepare(config: dict[str, Any], overrides: tuple[str, ...] = (), *, here: bool = True) -> Prepared:
    """Check a resolved config, canonicalise it, and name the run. Writes nothing. Raises UsageError.

    ``here`` is False for a run of another machine: its device is not looked for on this one.
    """
    groups = {*SETTINGS, "choices", "logger", "search", *GROUPS, *LIST_GROUPS}
    wanted = ("loss", "model", "dataset", "reduction", "schedule", "optimizer", "task")
    for key in (*wanted, *SETTINGS):
        if not isinstance(config.get(key), Mapping):
            raise UsageError(f"{key} is missing. `lossbench train --cfg job` shows what a config has.")
    root = {key: value for key, value in config.items() if key not in groups}
    contract.check(root_settings, {"seed": root.get("seed", 0)}, "")
    _check_settings(
        json.dumps({"": {**root, "seed": 0} if "seed" in root else root, **{k: config[k] for k in SETTINGS}})
    )
    device = resolve_device(config["device"]) if here or config["device"] == "auto" else _named_device(config["device"])
    config = {**config, "device": str(device), "budget": _budget(config["budget"])}
    if config["evaluation"]["steps"] is None and config["evaluation"]["epochs"] is None:
        raise UsageError("evaluation: nothing is given. Set one of evaluation.epochs, evaluation.steps.")
    if config["evaluation"]["steps"] is not None:
        config["evaluation"] = {**config["evaluation"], "epochs": None}
    if config["batch_size"] % config["accumulation"]:
        raise UsageError(
            f"accumulation={config['accumulation']} does not divide batch_size={config['batch_size']}. "
            "batch_size is the whole batch; it is split into that many equal parts."
        )
    for group in wanted:
        _check_bind(json.dumps(config[group]), group)
    for group in ("head", "aggregation", "advantage"):
        if config.get(group):
            _check_bind(json.dumps(config[group]), group)
    if config.get("aggregation"):
        check_aggregation(config)
    for group in LIST_GROUPS:
        if not isinstance(config.get(group) or {}, Mapping):
            raise UsageError(
                f"{group}={config[group]} stands in the body of a config file, where it chooses nothing. Choose it in "
                f"the file's defaults, - override /{group}: [...], or on the command line."
            )
        for name, entry in (config.get(group) or {}).items():
            if not isinstance(entry, Mapping) or "_target_" not in entry:
                raise UsageError(
                    f"{group}.{name} is set, but {group}=[{name}] is not chosen. Choose it, or leave the key out."
                )
            _check_bind(json.dumps(entry), f"{group}.{name}")
    if config["logger"]["wandb"] is not None:
        from lossbench.loggers import mirror

        contract.check(mirror.wandb, config["logger"]["wandb"], "logger.wandb")
    # Hydra does not say what was chosen from these groups. Their order counts, and variant=x is variant=[x].
    lists = {group: list(config.get(group) or {}) for group in LIST_GROUPS}
    config["choices"] = choices = {**config["choices"], **lists}
    run = _hash(config)
    outputs = Path(config["outputs"]).absolute()
    name = [choices["dataset"], choices["model"], choices["loss"], f"seed{config['seed']}-{run[:8]}"]
    return Prepared(config, run, outputs.joinpath("runs", *name), outputs, overrides)


def one_name(choice: Any) -> Any:
    """The one name of a group choice: the last part of its path, for each entry of a list."""
    if isinstance(choice, str):
        return choice.rsplit("/", 1)[-1]
    return choice if choice is None else [one_name(entry) for entry in choice]


def _budget(budget: Mapping[str, Any]) -> dict[str, Any]:
    chosen = [unit for unit in ("steps", "examples", "seconds") if budget[unit] is not None]
    if len(chosen) > 1:
        raise UsageError(f"budget: {' and '.join(chosen)} are both given. Give one of them.")
    if not chosen and budget["epochs"] is None:
        raise UsageError("budget: nothing is given. Set one of epochs, steps, examples, seconds.")
    return {**budget, "epochs": None} if chosen else dict(budget)


def resolve_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = _named_device(name)
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        raise UsageError(
            f"device={name} was asked for, but torch {torch.__version__} sees none here. "
            "Use device=auto or device=cpu, or install a torch build for this device."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device={name}: there are {torch.cuda.device_count()} CUDA devices, counted from cuda:0.")
    return device


def _named_device(name: str) -> torch.device:
    try:
        return torch.device(name)
    except RuntimeError:
        raise UsageError(f"device={name} is not a device. Choose device=auto, cpu, cuda, cuda:N or mps.") from None


def _hash(config: Mapping[str, Any]) -> str:
    def identity(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: identity(entry) for key, entry in value.items() if key not in PATHS}
        if isinstance(value, list | tuple):
            return [identity(entry) for entry in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value  # lr=1 is lr=1.0

    left_out = {*NOT_IDENTITY, *(key for group, keys in WHERE_CHOSEN.items() if not config.get(group) for key in keys)}
    kept = {key: identity(value) for key, value in config.items() if key not in left_out}
    kept["device"] = config["device"].partition(":")[0]  # cuda:1 is as good as cuda:0
    kept["choices"] = {key: value for key, value in config["choices"].items() if key not in left_out}
    for key, value in frozen_models(config["task"]).items():
        kept["task"][key] = [_model_identity(v) for v in value] if isinstance(value, list) else _model_identity(value)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _model_identity(entry: Any) -> str:
    """Of a frozen model: what run it comes from, or how that is trained, or, of a folder, what its weights are."""
    if isinstance(entry, Mapping):
        return entry.get("run") or json.dumps(entry, sort_keys=True)
    return weights_digest(Path(entry))


def without_seed(config: Mapping[str, Any]) -> str:
    """The hash of everything but the seed: runs that share it are repetitions of one another."""
    return _hash({**config, "seed": None, "task": as_asked(config["task"])})


# Both are cached: a sweep has thousands of runs, and few different entries of a group.
@cache
def _check_settings(config: str) -> None:
    """What is no method: the settings at the root of the config, '', and those in nodes of their own."""
    for key, values in json.loads(config).items():
        check: Callable = SETTINGS.get(key, root_settings)
        contract.check(check, values, key)
        for name in contract.hyperparameters(check).keys() - values.keys():
            raise UsageError(
                f"{key}{key and '.'}{name} is missing. `lossbench train --cfg job` shows what a config has."
            )


@cache
def _check_bind(config: str, key: str) -> None:
    """``bind`` for its checks alone."""
    bind(json.loads(config), key)
