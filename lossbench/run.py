"""One run: from a resolved config to its folder.

A run is named by the hash of its resolved config, without what cannot change its results (paths, logging, checkpoint
cadence). The same config is the same run: finished, it is not run again; killed, it goes on from its checkpoint.
"""

import contextlib
import datetime
import fcntl
import hashlib
import json
import math
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, cast

import torch
import yaml
from annotated_types import Ge, Gt, Interval
from torch import nn

from lossbench import checkpoint, contract, seeds
from lossbench.aggregations.aggregation import Aggregation
from lossbench.aggregations.aggregation import check as check_aggregation
from lossbench.errors import Busy, RunError, UsageError
from lossbench.frozen import as_asked
from lossbench.objective import Facts, Objective, adds_over_micro_batches, explain, missing, unwrap
from lossbench.results import record as records
from lossbench.source import Source
from lossbench.trainer import Interrupted, Outcome, Settings, Trainer

GROUPS = ("task", "dataset", "model", "head", "loss", "reduction", "optimizer", "schedule", "precision", "aggregation",
          "advantage", "recipe", "paper")  # fmt: skip
LIST_GROUPS = ("variant", "augmentation", "regularizer", "reweighting")
# What the hash leaves out: it cannot change a result.
NOT_IDENTITY = ("outputs", "logger", "checkpoint", "paper", "recipe", "data", "search", "retry", "fail_fast",
                "time_limit", "profile", "continue_from", "shard")  # fmt: skip
WHERE_CHOSEN = {"aggregation": ("aggregation", "aggregation_of"), "advantage": ("advantage",)}  # otherwise not hashed
ADVANTAGES = "completion_advantages"  # the tensor that advantage=... makes in the place of the task
PATHS = ("root", "cache")
WEIGHTS = "weights.pt"
YAML = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's where there is one: five times as fast


class Watcher(Protocol):
    """Whoever follows a run: the command line's progress display, a sweep's worker, nobody."""

    def started(self, prepared: "Prepared", resumed_at: int | None) -> None: ...

    def row(self, row: dict[str, Any]) -> None: ...

    def progress(self, step: int, total: int) -> None: ...

    def warn(self, text: str) -> None: ...


class Silent:
    """Nobody watches."""

    def started(self, prepared: "Prepared", resumed_at: int | None) -> None: ...

    def row(self, row: dict[str, Any]) -> None: ...

    def progress(self, step: int, total: int) -> None: ...

    def warn(self, text: str) -> None: ...


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


# --- checks that need no torch.nn object -------------------------------------------------------------------------


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


def bind(config: Mapping[str, Any], key: str) -> Callable:
    """The function that a config names, with its checked hyper-parameters bound. Raises UsageError."""
    from hydra.utils import get_object

    try:
        function = get_object(config["_target_"])
    except Exception as error:
        raise UsageError(f"{key}._target_={config.get('_target_')} cannot be loaded: {error}") from None
    values = {name: value for name, value in config.items() if not name.startswith("_")}
    values = {
        name: bind(value, f"{key}.{name}") if isinstance(value, Mapping) and "_target_" in value else value
        for name, value in values.items()
    }
    missing = [name for name, value in values.items() if value == "???"]
    if missing:
        what = contract.signature(function)[missing[0]].annotation
        raise UsageError(f"{key}.{missing[0]} must be given; it is {_needed(what)}.")
    if key.startswith("optimizer"):
        from lossbench.optimizers.check import check_hyperparameters

        check_hyperparameters(function, values, key)
    else:
        frozen = frozen_models(config)
        contract.check(function, {k: v for k, v in values.items() if k not in frozen}, key)
    return partial(function, **values)


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


def _needed(annotation: Any) -> str:
    if contract.is_model(annotation):
        return (
            "the folder of a finished run, such as outputs/runs/digits/mlp/cross_entropy/seed0-..., or "
            "{train: [overrides]} of a run to be made first"
        )
    return contract.describe(annotation)


def frozen_models(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a task's config that name finished runs whose models are wanted: annotated nn.Module or a list of
    them. Such a run is given by its folder, or as a mapping by how it is trained first (composing.trained_before)."""
    from hydra.utils import get_object

    try:
        found = contract.signature(get_object(config["_target_"]))
    except Exception as error:
        raise UsageError(f"task._target_={config.get('_target_')} cannot be loaded: {error}") from None
    return {
        key: value
        for key, value in config.items()
        if key in found and value not in (None, "???") and contract.is_model(found[key].annotation)
    }


def tensors(function: Callable, num_outputs: int, device: torch.device, key: str) -> Callable:
    """The function with lists in the place of tensors made tensors on the device, once; lengths checked."""
    if not isinstance(function, partial):
        return function
    made = {}
    for name, value in function.keywords.items():
        annotation = contract.hyperparameters(function.func)[name].annotation
        if contract.is_tensor(annotation) and isinstance(value, list | tuple):
            made[name] = torch.tensor(value, dtype=torch.float32, device=device)
            if made[name].ndim == 1 and "C" in str(annotation) and len(value) != num_outputs:
                raise UsageError(
                    f"{key}.{name} has {len(value)} entries, but the data set has {num_outputs} classes. "
                    "Give one number for each class."
                )
    return partial(function.func, **{**function.keywords, **made})


# --- building ----------------------------------------------------------------------------------------------------


def load_dataset(config: Mapping[str, Any]) -> Any:
    """The data set of a config with its variants applied; the same for every seed, unless data_seed changes.

    Kept in this process: the workers of a sweep share what the server they are forked from has loaded.
    """
    wanted = json.dumps([config["dataset"], config.get("variant"), config["data_seed"]])  # variants in their order
    if wanted not in DATASETS:
        DATASETS[wanted] = _load_dataset(config)
    return DATASETS[wanted]


DATASETS: dict[str, Any] = {}


def _load_dataset(config: Mapping[str, Any]) -> Any:
    dataset = bind(config["dataset"], "dataset")(generator=seeds.generator(config["data_seed"], "split"))
    for name, entry in (config.get("variant") or {}).items():
        vary = bind(entry, f"variant.{name}")
        dataset = vary(dataset, seeds.generator(config["data_seed"], f"variant/{name}"))
    for split in (dataset.train, dataset.validation, dataset.test):
        targets = split.labels.get("targets")
        if targets is None or not len(targets):
            continue
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= dataset.num_outputs:
            raise UsageError(
                f"dataset: targets reach from {low} to {high}, but there are {dataset.num_outputs} classes; "
                f"they must be 0..{dataset.num_outputs - 1} in every split."
            )
    if not (len(dataset.validation) and len(dataset.test)):
        raise UsageError("dataset: the validation and the test split must not be empty.")
    return dataset


def shapes(config: Mapping[str, Any], dataset: Any) -> tuple[tuple[int, ...], int]:
    """(input shape, number of outputs) of the model: the data set's, unless the task has its own."""
    from hydra.utils import get_object

    own = getattr(get_object(config["task"]["_target_"]), "shapes", None)
    return own(dataset) if own else (dataset.input_shape, dataset.num_outputs)


def build_model(config: Mapping[str, Any], input_shape: Sequence[int], num_outputs: int) -> nn.Module:
    """The model of a config, with the initial weights of its seed. Leaves the global random stream where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.derive(config["seed"], "model"))
        return _make_model(config, input_shape, num_outputs)


def _make_model(config: Mapping[str, Any], input_shape: Sequence[int], num_outputs: int) -> nn.Module:
    model = bind(config["model"], "model")(input_shape=input_shape, num_outputs=num_outputs)
    if config.get("head"):  # made last: the body's initial weights are the same with every head
        head = bind(config["head"], "head")
        model.head = head(num_features=cast(int, model.num_features), num_outputs=num_outputs)
    return model


def default_metric(config: Mapping[str, Any]) -> str:
    """The validation metric that chooses the weights where the config names none: the task's."""
    from hydra.utils import get_object

    return get_object(config["task"]["_target_"]).selection[0]


def weights_path(folder: Path) -> Path:
    path = folder if folder.suffix == ".pt" else folder / WEIGHTS
    if not path.is_file():
        raise UsageError(
            f"{path} does not exist: a frozen model needs the folder of a finished run whose weights were kept "
            "(checkpoint.keep_weights=true)."
        )
    return path


def weights_digest(folder: Path) -> str:
    path = checkpoint.digest_path(weights_path(folder))
    try:
        return path.read_text()
    except OSError:
        raise UsageError(f"{path} is missing, so that the weights cannot be checked. Train that run again.") from None


def load_model(folder: Path) -> nn.Module:
    """The selected model of a finished run. Raises UsageError where there is none, or it is damaged."""
    try:
        payload = checkpoint.read(weights_path(folder))
    except ValueError as error:
        raise UsageError(f"{error}. Train that run again.") from None
    if "input_shape" not in payload:
        raise UsageError(f"{folder} is a checkpoint of a run that goes on. Give the folder of a run that is completed.")
    model = _make_model(payload["config"], payload["input_shape"], payload["num_outputs"])
    model.load_state_dict(payload["model"])
    return model


def _folder(entry: Any) -> Path:
    return Path(entry["folder"] if isinstance(entry, Mapping) else entry)


def train_prerequisites(prepared: Prepared, watcher: Watcher, stop: Callable[[], bool]) -> None:
    """Train what the run needs before it, or wait for whoever is at it.

    Raises UsageError where the run could not use them; RunError where one of them has no model to give; Interrupted
    when ``stop`` came true.
    """
    if not all(before.finished for before in prepared.prerequisites):
        _check_tensors(prepared.config)
    for before in prepared.prerequisites:
        if not before.finished:
            watcher.warn(f"{before.name} is trained first: its model is needed")
        while True:
            try:
                record = execute(before, Silent(), stop)
                break
            except Busy:  # runs of one sweep may need the same one
                if stop():
                    raise Interrupted(f"stopped while another process trains {before.name}") from None
                time.sleep(0.2)
        if record["status"] != "completed":
            raise RunError(f"{before.name}, whose model is needed, {record['status']}")


def _check_tensors(config: Mapping[str, Any]) -> None:
    """Whether the loss and what goes with it find their tensors, before anything is trained for the run."""
    from hydra.utils import get_object

    task, labels = get_object(config["task"]["_target_"]), load_dataset(config).train.labels
    batch = (*task.batch, "x", *labels, "ids")
    lists = [(group, entry) for group in ("regularizer", "reweighting") for entry in (config.get(group) or {}).values()]
    for group, entry in [("loss", config["loss"]), *lists]:
        function = bind(entry, group)
        for word in missing(function, task, batch, ("losses",) if group == "reweighting" else ()):
            raise UsageError(explain(unwrap(function).__name__, word, task))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process works in a run's folder; the lock goes with the process, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "w")  # noqa: SIM115
    except OSError as error:
        raise UsageError(
            f"outputs: cannot write to {folder}: {error.strerror}. Choose a folder that you may write to "
            "with outputs=... or LOSSBENCH_OUTPUTS."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock before may have removed the file: then this lock keeps nobody out.
            held = os.path.samestat(os.fstat(file.fileno()), os.stat(folder / ".lock"))
        except OSError:
            held = False
        if not held:
            raise Busy(f"{folder}: another process is working on this run. Wait for it, or stop it.")
        try:
            yield
        finally:
            (folder / ".lock").unlink(missing_ok=True)


def execute(
    prepared: Prepared, watcher: Watcher | None = None, stop: Callable[[], bool] = lambda: False, ranks: Any = None
) -> dict[str, Any]:
    """Train the run and write its record; a finished one is only read. Returns the record.

    ranks   the processes that train it together, this one is the first of; see lossbench/distributed.py
    Raises UsageError for what was found wrong before step 0 (nothing is recorded then) and RunError, after recording
    it, for a failure while training; Interrupted when ``stop`` came true.
    """
    watcher = watcher or Silent()
    other = (prepared.record or {}).get("run", prepared.run)
    if other != prepared.run:
        raise UsageError(f"{prepared.folder} belongs to run {other}, not to {prepared.run}. Choose another outputs=...")
    if prepared.finished:
        found = prepared.record
        assert found is not None
        return found
    with locked(prepared.folder):
        if prepared.finished:  # by another process, between the look and the lock
            found = prepared.record
            assert found is not None
            return found
        return _execute(prepared, watcher, stop, ranks)


def _execute(prepared: Prepared, watcher: Watcher, stop: Callable[[], bool], ranks: Any) -> dict[str, Any]:
    config, folder = prepared.config, prepared.folder
    lacking: Exception | None = None
    try:
        train_prerequisites(prepared, watcher, stop)
    except (RunError, UsageError) as failure:
        lacking = failure
    started = datetime.datetime.now(datetime.UTC)
    clock = time.perf_counter()
    device = resolve_device(config["device"])
    configure_torch(config, device)
    energy = records.Energy(device)
    checkpoint.remove_torn(folder)
    if (folder / "record.json").exists() and prepared.record is None:
        watcher.warn(f"{folder / 'record.json'} is damaged; the run is done again")
    error: dict[str, str] | None = None
    outcome = Outcome("failed", 0)
    trainer = None
    parts: dict[str, Any] = {}
    try:
        if lacking is not None:
            raise lacking
        parts = build(config, device)
        if ranks is not None:
            parts = ranks.parts(parts, config)
        resume = checkpoint.latest(folder, prepared.run, watcher.warn, device)
        if resume is None and config["continue_from"] is not None:
            from lossbench import continuing

            resume = continuing.start(config, prepared.run, folder, parts["objective"], parts["source"], device)
        metrics = records.Metrics(folder, keep_until_step=resume["step"] if resume else None)
        text = yaml.dump(config, Dumper=YAML, sort_keys=False)
        checkpoint.write_atomically(folder / "config.yaml", text.encode(), durable=False)
        (folder / "record.json").unlink(missing_ok=True)  # of an earlier attempt that failed
        watcher.started(prepared, resume["step"] if resume else None)
        before, number = len((resume or {}).get("ranks", ())) or 1, ranks.size if ranks is not None else 1
        if resume is not None and before != number:
            watcher.warn(
                f"trained by {before} process{'es' * (before > 1)} until here and by {number} from here on: results "
                "stay the same up to rounding, but dropout and augmentations of data that are read draw other numbers"
            )
        if ranks is not None:
            ranks.begin(resume)

        def report(row: dict[str, Any]) -> None:
            metrics.append(row)
            watcher.row(row)

        training = {key: value for key, value in parts.items() if key != "shapes"}
        trainer = (Trainer if ranks is None else ranks.trainer)(
            run=prepared.run, folder=folder, report=report, progress=watcher.progress, stop=stop, **training
        )
        if config["profile"]:
            from lossbench import profiling

            outcome = profiling.fit(trainer, resume)
        else:
            outcome = trainer.fit(resume)
    except Interrupted:
        raise
    except UsageError:
        if not checkpoint.checkpoints(folder) and prepared.record is None:
            for name in ("config.yaml", "metrics.jsonl"):
                (folder / name).unlink(missing_ok=True)
            _remove_if_empty(folder)
        raise
    except Exception as failed:
        caught = failed if ranks is None else ranks.cause(failed)
        error = {"type": type(caught).__name__, "message": str(caught), "traceback": traceback.format_exc()}
        if trainer is not None:
            outcome = Outcome("failed", trainer.step, trainer.best, trainer.last_row, train_seconds=trainer.seconds)
    if outcome.message is not None:
        error = {"type": "Diverged", "message": outcome.message, "traceback": ""}
    source, model = parts.get("source"), parts.get("model")  # none where building them failed
    record = write_results(
        prepared,
        outcome,
        error=error,
        weights=trainer.weights() if trainer else {},
        source=source,
        shapes=parts.get("shapes"),
        parameters=sum(p.numel() for p in model.parameters()) if model else None,
        device=device,
        started=started,
        wall_seconds=time.perf_counter() - clock,
        energy_joules=energy.joules(),
        shared_device=bool(int(os.environ.get("LOSSBENCH_SHARED_DEVICE", "0"))),
        resumed=trainer.resumed if trainer else 0,
        ranks=ranks,
    )
    if outcome.status == "failed":
        assert error is not None
        raise RunError(f"{prepared.name} failed: {error['type']}: {error['message']}")
    return records.finite(record)


def write_results(
    prepared: Prepared,
    outcome: Outcome,
    *,
    error: Mapping[str, str] | None,
    weights: Mapping[str, Any],
    source: Source | None,
    shapes: tuple[Sequence[int], int] | None,
    parameters: int | None,
    device: torch.device,
    started: datetime.datetime,
    wall_seconds: float,
    energy_joules: float | None,
    shared_device: bool,
    resumed: int,
    ranks: Any = None,
) -> dict[str, Any]:
    """What every run leaves behind, however it was trained: the row of test metrics, the selected weights, the record
    (last); its checkpoints go. Returns the record."""
    config, folder = prepared.config, prepared.folder
    if outcome.status == "completed":
        assert source is not None
        records.append(folder, {"step": outcome.best["step"], **_only(outcome.best, "test/")})
        if config["checkpoint"]["keep_weights"]:
            assert shapes is not None
            input_shape, num_outputs = list(shapes[0]), shapes[1]
            payload = {"config": config, "input_shape": input_shape, "num_outputs": num_outputs, "model": weights}
            checkpoint.write(folder / WEIGHTS, payload, durable=False)  # damaged ones show by their digest
    examples = outcome.steps * source.batch_size if source else 0
    seconds = max(outcome.train_seconds, 1e-9)
    record = {
        "schema": records.SCHEMA,
        "run": prepared.run,
        "folder": prepared.name,
        "status": outcome.status,
        "error": error,
        "choices": config["choices"],
        "config": config,
        "overrides": list(prepared.overrides),
        "seed": config["seed"],
        "best": outcome.best,
        "final": outcome.final,
        "steps": outcome.steps,
        "epochs": outcome.steps / source.steps_per_epoch if source else 0.0,
        "examples": examples,
        "parameters": parameters,
        "time": {
            "started": started.isoformat(timespec="seconds"),
            "wall_seconds": wall_seconds,
            "train_seconds": outcome.train_seconds,
            "examples_per_second": examples / seconds,
            "steps_per_second": outcome.steps / seconds,
        },
        "memory": {"peak_bytes": records.peak_memory(device)},
        "energy_joules": energy_joules,
        "environment": records.environment(device) | ({"ranks": ranks.size} if ranks is not None else {}),
        "shared_device": shared_device,
        "resumed": resumed,
    }
    records.write(folder, record)
    if outcome.status != "failed":
        for path in checkpoint.checkpoints(folder):
            checkpoint.remove(path)
    return record


def _only(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key.startswith(prefix)}


def _remove_if_empty(folder: Path) -> None:
    """After a usage error nothing is left behind."""
    (folder / ".lock").unlink(missing_ok=True)
    for path in (folder, *list(folder.parents)[:4]):
        try:
            path.rmdir()
        except OSError:
            return


def configure_torch(config: Mapping[str, Any], device: torch.device) -> None:
    torch.set_num_threads(config["threads"])
    if config["deterministic"]:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if torch.are_deterministic_algorithms_enabled() != config["deterministic"]:
        torch.use_deterministic_algorithms(config["deterministic"])  # imports the compiler: a second of start-up
    torch.backends.cudnn.benchmark = not config["deterministic"]
    tf32 = config["precision"]["tf32"]
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def build(config: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Everything that the trainer takes, from the config."""
    seed = config["seed"]
    dataset = load_dataset(config)
    make_task = bind(config["task"], "task")
    steps_on_a_batch = {name: config["task"].get(name, 1) for name in ("parts", "passes")}
    source = Source(
        dataset,
        batch_size=config["batch_size"],
        evaluation_batch_size=config["evaluation"]["batch_size"],
        device=device,
        seed=seed,
        augmentations={n: bind(e, f"augmentation.{n}") for n, e in (config.get("augmentation") or {}).items()},
        two_views="second_x" in unwrap(make_task).batch,  # type: ignore[attr-defined]
        workers=config["data"]["workers"],
        resident=config["data"]["resident"],
        **steps_on_a_batch,
    )
    model_shapes = shapes(config, dataset)
    model = build_model(config, *model_shapes)
    _check_reads(model, dataset, config)
    if config["shard"]:
        from lossbench import distributed

        distributed.shard(model, device)
    model = model.to(device)
    if config["channels_last"] and device.type == "cuda":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    frozen = {
        key: [load_model(_folder(entry)) for entry in value] if isinstance(value, list) else load_model(_folder(value))
        for key, value in frozen_models(config["task"]).items()
    }
    task = make_task(dataset, device, **frozen)
    if getattr(task, "start", None) is not None:
        _start_from(model, task.start)

    def function(key: str, entry: Mapping[str, Any]) -> Callable:
        return tensors(bind(entry, key), dataset.num_outputs, device, key)

    regularizers, reweightings = (
        [function(f"{group}.{name}", entry) for name, entry in (config.get(group) or {}).items()]
        for group in ("regularizer", "reweighting")
    )
    loss, reduction = function("loss", config["loss"]), bind(config["reduction"], "reduction")
    instead = {ADVANTAGES: function("advantage", config["advantage"])} if config.get("advantage") else None
    objective = Objective(loss, task, reduction, regularizers, source.names(), reweightings, instead)
    sizes = config["batch_size"], config["accumulation"], dataset.num_outputs
    if config["accumulation"] > 1 and (culprit := adds_over_micro_batches(objective, *sizes)):
        raise UsageError(
            f"accumulation={config['accumulation']} does not go with {culprit}: its value on a batch is not the sum "
            "over its parts, so the result would differ from the big batch. Use accumulation=1."
        )
    num_features = cast(int, model.num_features)
    facts = Facts(len(dataset.train), dataset.num_outputs, num_features, device, dataset.num_groups)
    params, state = objective.init(facts, seeds.generator(seed, "params"))
    loss_parameters = [nn.Parameter(t) for tensors_ in params.values() for t in tensors_.values()]
    leaves = iter(loss_parameters)
    params = {name: {key: next(leaves) for key in tensors_} for name, tensors_ in params.items()}
    optimizer = build_optimizer(config, model, loss_parameters, device)
    generators = {
        step.name: seeds.generator(seed, f"draw/{step.name}", device)
        for step in (*objective.collection_draws, *objective.draws)
    }
    aggregation = None
    if config.get("aggregation"):
        aggregation = Aggregation(bind(config["aggregation"], "aggregation"), config["aggregation_of"])
        generators[aggregation.name] = seeds.generator(seed, "aggregation")
        n = sum(parameter.numel() for group in optimizer.param_groups for parameter in group["params"])
        state |= aggregation.init_state(len(dataset.train), n, device)
    torch.manual_seed(seeds.derive(seed, "dropout"))
    steps_per_epoch, limits = source.steps_per_epoch, config["budget"]
    steps = steps_of(limits, steps_per_epoch, config["batch_size"])
    cadence = config["evaluation"]
    amp = config["precision"]["autocast"]
    settings = Settings(
        steps=steps,
        seconds=limits["seconds"],
        evaluate_every=cadence["steps"] or max(1, round(cadence["epochs"] * steps_per_epoch)),
        accumulation=config["accumulation"],
        clip_norm=config["clip_norm"],
        ema=config["ema"],
        autocast=getattr(torch, amp) if amp else None,
        loss_scaling=config["precision"]["loss_scaling"],
        checkpoint_seconds=config["checkpoint"]["seconds"],
        keep=frozenset(config["checkpoint"]["keep"]),
        selection=_selection(config["selection"], task.selection),
        compile=config["compile"],
    )
    schedule = bind(config["schedule"], "schedule")
    if steps is not None:
        schedule(0, steps)  # a schedule that does not fit the budget says so before step 0
    return {
        "model": model,
        "objective": objective,
        "source": source,
        "optimizer": optimizer,
        "schedule": schedule,
        "settings": settings,
        "params": params,
        "state": state,
        "generators": generators,
        "aggregation": aggregation,
        "shapes": model_shapes,
    }


def _check_reads(model: nn.Module, dataset: Any, config: Mapping[str, Any]) -> None:
    """Raises UsageError where the inputs are tokens and the model wants numbers."""
    inputs = dataset.train.inputs[0]
    if inputs.is_floating_point() or inputs.dtype == torch.uint8:
        return
    model.eval()
    try:
        with torch.no_grad():
            model(inputs.reshape(-1, inputs.shape[-1])[:1])
    except RuntimeError as error:
        if "dtype" in str(error):
            raise UsageError(
                f"model={config['choices']['model']} reads numbers, and the inputs of "
                f"dataset={config['choices']['dataset']} are tokens. Choose a model of tokens, such as model=gpt."
            ) from None
    finally:
        model.train()


def _start_from(model: nn.Module, start: nn.Module) -> None:
    """Give the model the weights that its task says it begins with."""
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    found = {name: value.shape for name, value in start.state_dict().items()}
    if wanted != found:
        different = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        raise UsageError(
            f"task: the model that training is to start from and model= with head= differ in {len(different)} tensors, "
            f"such as {different[0]}. Choose the same model, of the same size."
        )
    model.load_state_dict(start.state_dict())


def _selection(chosen: Mapping[str, Any], default: tuple[str, str]) -> tuple[str, str]:
    """(metric, direction): the task's, unless the config names another; the direction follows from the metric."""
    from lossbench.metrics import higher_is_better

    metric = chosen["metric"] or default[0]
    natural = default[1] if metric == default[0] else "higher" if higher_is_better(metric) else "lower"
    return metric, chosen["direction"] or natural


def steps_of(limits: Mapping[str, Any], steps_per_epoch: int, batch_size: int) -> int | None:
    if limits["steps"] is not None:
        return limits["steps"]
    if limits["examples"] is not None:
        return math.ceil(limits["examples"] / batch_size)
    if limits["epochs"] is not None:
        return max(1, round(limits["epochs"] * steps_per_epoch))
    return None


def build_optimizer(
    config: Mapping[str, Any], model: nn.Module, loss_parameters: list[nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    from lossbench.optimizers.eager import skip_compiler
    from lossbench.optimizers.groups import parameter_groups

    if not config["compile"]:
        skip_compiler()
    make = bind(config["optimizer"], "optimizer")
    keywords = dict(make.keywords) if isinstance(make, partial) else {}
    groups = parameter_groups(
        model,
        loss_parameters,
        weight_decay=keywords.get("weight_decay") or 0.0,
        decay_norms_and_biases=config["weight_decay_on_all"],
    )
    known = contract.signature(unwrap(make))
    if "fused" in known and keywords.get("fused") is None and device.type in ("cpu", "cuda"):
        keywords["fused"] = True  # faster on both, and on CUDA it can skip a step without a synchronisation
    return unwrap(make)(groups, **keywords)
