"""Checks of an optimizer's hyper-parameters before anything is built.

torch's constructors carry no ranges in their signatures and raise ValueError without the key, after the model is built;
some accept what cannot train (lr = nan). The ranges stand here, by torch's own names, the same for every optimizer.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_origin

from annotated_types import Ge, Gt, Interval, Le
from torch.optim import Optimizer

from lossbench import contract
from lossbench.errors import UsageError, nearest

NotNegative = Annotated[float, Interval(ge=0, lt=math.inf)]
Positive = Annotated[float, Interval(gt=0, lt=math.inf)]
Finite = Annotated[float, Interval(gt=-math.inf, lt=math.inf)]
BelowOne = Annotated[float, Interval(ge=0, lt=1)]
UpToOne = Annotated[float, Interval(ge=0, le=1)]

# Range of a hyper-parameter, or of each of its numbers where it is a list.
RANGES: dict[str, Any] = {
    "lr": NotNegative,
    "weight_decay": NotNegative,
    "momentum": NotNegative,
    "dampening": Finite,
    "betas": BelowOne,
    "eps": Positive,
    "alpha": UpToOne,  # RMSprop: smoothing; ASGD: power
    "rho": UpToOne,  # Adadelta: smoothing
    "lr_decay": NotNegative,
    "initial_accumulator_value": NotNegative,
    "momentum_decay": NotNegative,
    "beta2_decay": Annotated[float, Le(0)],
    "d": Annotated[float, Interval(ge=1, lt=math.inf)],
    "lambd": NotNegative,
    "t0": Positive,
    "step_sizes": Positive,
    "tolerance_grad": NotNegative,
    "tolerance_change": NotNegative,
    "max_iter": Annotated[int, Ge(1)],
    "max_eval": Annotated[int, Ge(1)],
    "history_size": Annotated[int, Ge(1)],
    "ns_steps": Annotated[int, Ge(1)],
}
# Ranges of the two numbers of a pair, where they differ.
PAIRS: dict[str, tuple[Any, Any]] = {
    "etas": (Annotated[float, Interval(gt=0, lt=1)], Annotated[float, Gt(1)]),
}


def check_hyperparameters(target: Callable, values: Mapping[str, Any], key: str = "optimizer") -> None:
    """Refuse hyper-parameters that the optimizer does not have or that are out of their type or range.

    target   the optimizer's class, torch's or any other
    values   from the config, without _target_ and _partial_
    key      the place in the config that the error names
    Raises UsageError.
    """
    found = {name: p for name, p in contract.signature(target).items() if name not in ("self", "params")}
    takes_anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found.values())
    for name, value in values.items():
        if name not in found:
            if takes_anything:
                continue
            raise UsageError(
                f"{key}.{name}: {target.__name__} has no such hyper-parameter{nearest(name, found) or '.'} "
                f"It has: {', '.join(found)}."
            )
        _check_value(found[name], value, f"{key}.{name}")
    _check_together(values, key)


def check_base(base: Optimizer, whose: str) -> None:
    """Refuse a base optimizer whose step takes more than gradients: the one that has it calls it with nothing.

    whose    the name of the optimizer that has it
    """
    parameters = inspect.signature(inspect.unwrap(type(base).step)).parameters
    wanted = [name for name, p in parameters.items() if name != "self" and p.default is inspect.Parameter.empty]
    if wanted:
        raise UsageError(
            f"optimizer.base: {type(base).__name__} cannot be the base of {whose}, because its step needs the "
            f"{wanted[0]}. Choose a base such as optimizer@optimizer.base=adamw."
        )


def _check_value(parameter: inspect.Parameter, value: Any, key: str) -> None:
    name, default = parameter.name, parameter.default
    if value is None and default is None:
        return
    if isinstance(default, tuple):
        _check_list(name, default, value, key)
    elif _has_ranges(parameter.annotation):  # our own classes say it themselves
        _require(contract.accepts(parameter.annotation, value), key, value, contract.describe(parameter.annotation))
    elif name in RANGES:
        _require(contract.accepts(RANGES[name], value), key, value, contract.describe(RANGES[name]))
    elif isinstance(default, bool) or name in ("foreach", "fused"):
        _require(isinstance(value, bool), key, value, "true or false" + (" or null" if default is None else ""))
    elif isinstance(default, (int, float)):
        _require(contract.accepts(float, value) and math.isfinite(value), key, value, "a finite number")


def _check_list(name: str, default: tuple, value: Any, key: str) -> None:
    """As many entries as the default has; null only where the default has null."""
    ranges = PAIRS.get(name, (RANGES.get(name, float),) * len(default))
    allowed = isinstance(value, (list, tuple)) and len(value) == len(default)
    if allowed:
        allowed = all(
            contract.accepts(annotation, entry) or (entry is None and standard is None)
            for annotation, entry, standard in zip(ranges, value, default, strict=True)
        )
    entries = [
        contract.describe(annotation) + (" or null" if standard is None else "")
        for annotation, standard in zip(ranges, default, strict=True)
    ]
    _require(allowed, key, value, f"a list of {len(default)} entries: {', '.join(entries)}")


def _check_together(values: Mapping[str, Any], key: str) -> None:
    if values.get("nesterov") and (values.get("momentum", 0) == 0 or values.get("dampening", 0) != 0):
        raise UsageError(
            f"{key}.nesterov=true needs a momentum and no dampening. "
            f"Set {key}.nesterov=false, or {key}.momentum above 0 and {key}.dampening=0."
        )
    if values.get("foreach") and values.get("fused"):
        raise UsageError(f"{key}.foreach and {key}.fused cannot both be true. Leave one of them null.")


def _has_ranges(annotation: Any) -> bool:
    """Whether the annotation is written for these checks; torch's own are plain types."""
    if get_origin(annotation) is Literal or hasattr(annotation, "__metadata__"):
        return True
    return any(_has_ranges(a) for a in getattr(annotation, "__args__", ()))


def _require(allowed: bool, key: str, value: Any, expected: str) -> None:
    if not allowed:
        shown = "null" if value is None else value
        raise UsageError(f"{key}={shown} is not allowed; it must be {expected}.")
