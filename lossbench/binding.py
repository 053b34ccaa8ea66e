"""From the nodes of a config to functions with their hyper-parameters bound and checked."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from lossbench import contract
from lossbench.errors import UsageError


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
