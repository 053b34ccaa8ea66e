"""Everything that a trainer takes, built from a resolved config: data, model, objective, optimizer, schedule."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from lossbench import checkpoint, contract, seeds
from lossbench.aggregations.aggregation import Aggregation
from lossbench.binding import bind, frozen_models, tensors
from lossbench.errors import UsageError
from lossbench.objective import Facts, Objective, adds_over_micro_batches, unwrap
from lossbench.source import Source
from lossbench.trainer import Settings

ADVANTAGES = "completion_advantages"  # the tensor that advantage=... makes in the place of the task
WEIGHTS = "weights.pt"


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
