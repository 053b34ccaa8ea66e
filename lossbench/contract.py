"""What a signature promises, and the checks made from it once, when a config is resolved.

Function bodies hold no checks: the type and the range of every hyper-parameter stand in its annotation
(``gamma: Annotated[float, Ge(0)] = 2.0``) and are checked here for losses, schedules, models and settings alike.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from torch import Tensor, nn

from lossbench.errors import UsageError, nearest


@cache
def signature(function: Callable) -> dict[str, inspect.Parameter]:
    """The parameters of a function (or class) by name, with their annotations resolved."""
    target: Any = function.__init__ if inspect.isclass(function) else function
    try:
        hints = typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError):
        hints = {}
    found = inspect.signature(function).parameters
    return {name: p.replace(annotation=hints.get(name, p.annotation)) for name, p in found.items()}


@cache
def tensor_names(function: Callable) -> tuple[str, ...]:
    """The words of the vocabulary that a loss names: its positional parameters."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(name for name, p in signature(function).items() if p.kind in kinds)


@cache
def required(function: Callable) -> tuple[str, ...]:
    """Those of its positional parameters that have no default."""
    parameters = signature(function)
    return tuple(n for n in tensor_names(function) if parameters[n].default is inspect.Parameter.empty)


@cache
def hyperparameters(function: Callable) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a loss by name."""
    return {name: p for name, p in signature(function).items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


@cache
def return_annotation(function: Callable) -> Any:
    return typing.get_type_hints(function, include_extras=True).get("return")


def is_tensor(annotation: Any) -> bool:
    """Whether the annotation is a tensor's: jaxtyping's ``Float[Tensor, ...]`` or ``Tensor``; None may stand beside."""
    if get_origin(annotation) in (Union, types.UnionType):
        return any(is_tensor(a) for a in get_args(annotation))
    return annotation is Tensor or getattr(annotation, "array_type", None) is Tensor


def is_model(annotation: Any) -> bool:
    """Whether the annotation is a model's, or a list of models'; None may stand beside."""
    if get_origin(annotation) in (Union, types.UnionType, list):
        return any(is_model(a) for a in get_args(annotation))
    return annotation is nn.Module


def describe(annotation: Any) -> str:
    """The annotation in words: 'a number >= 0', 'one of: linear, cosine', 'a whole number >= 1 or null'."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        base, *marks = get_args(annotation)
        return " ".join([describe(base), *(text for text in map(_describe_range, marks) if text)])
    if origin is Literal:
        return "one of: " + ", ".join(map(str, get_args(annotation)))
    if origin in (Union, types.UnionType):
        return " or ".join(describe(a) for a in get_args(annotation))
    if is_tensor(annotation):
        return "a list of numbers"
    if origin in (list, tuple, Sequence):
        inner = [a for a in get_args(annotation) if a is not Ellipsis]
        return "a list" + (f" of: {describe(inner[0])}" if inner else "")
    if annotation is nn.Module:
        return "the folder of a finished run"
    if origin in (dict, Mapping):
        return "a mapping"
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "a text", type(None): "null"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _describe_range(mark: Any) -> str:
    match mark:
        case annotated_types.Interval(gt=gt, ge=ge, lt=lt, le=le):
            bounds = ((">", gt), (">=", ge), ("<", lt), ("<=", le))
            return " and ".join(f"{sign} {value}" for sign, value in bounds if value is not None)
        case annotated_types.Ge(ge=value):
            return f">= {value}"
        case annotated_types.Gt(gt=value):
            return f"> {value}"
        case annotated_types.Le(le=value):
            return f"<= {value}"
        case annotated_types.Lt(lt=value):
            return f"< {value}"
        case annotated_types.Len(min_length=low, max_length=high):
            return f"with {low} entries" if low == high else f"with {low} to {high or 'any number of'} entries"
        case annotated_types.MultipleOf(multiple_of=value):
            return f"a multiple of {value}"
    return ""


def accepts(annotation: Any, value: Any) -> bool:
    """Whether a value from a config fits the annotation: its type, and every range mark."""
    if annotation in (inspect.Parameter.empty, Any):
        return True
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        base, *marks = get_args(annotation)
        if value is None or not accepts(base, value):
            return value is None and accepts(base, None)
        return all(_in_range(mark, value) for mark in marks)
    if origin is Literal:
        return value in get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(accepts(a, value) for a in get_args(annotation))
    if is_tensor(annotation):
        return isinstance(value, Tensor) or (isinstance(value, list | tuple) and _numbers(value))
    if isinstance(value, Tensor):  # a 0-d hyper-parameter of a batched sweep
        return annotation in (float, int) and value.ndim == 0
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is type(None):
        return value is None
    if origin in (list, tuple, Sequence):
        inner = [a for a in get_args(annotation) if a is not Ellipsis]
        return isinstance(value, list | tuple) and (not inner or all(accepts(inner[0], entry) for entry in value))
    if origin in (dict, Mapping):
        return isinstance(value, Mapping)
    return not isinstance(annotation, type) or isinstance(value, annotation)


def _numbers(values: Any) -> bool:
    return all(
        _numbers(v) if isinstance(v, list | tuple) else isinstance(v, int | float) and not isinstance(v, bool)
        for v in values
    )


def _in_range(mark: Any, value: Any) -> bool:
    match mark:
        case annotated_types.Interval(gt=gt, ge=ge, lt=lt, le=le):
            return (
                (gt is None or value > gt)
                and (ge is None or value >= ge)
                and (lt is None or value < lt)
                and (le is None or value <= le)
            )
        case annotated_types.Ge(ge=bound):
            return bool(value >= bound)
        case annotated_types.Gt(gt=bound):
            return bool(value > bound)
        case annotated_types.Le(le=bound):
            return bool(value <= bound)
        case annotated_types.Lt(lt=bound):
            return bool(value < bound)
        case annotated_types.Len(min_length=low, max_length=high):
            return len(value) >= low and (high is None or len(value) <= high)
        case annotated_types.MultipleOf(multiple_of=bound):
            return bool(value % bound == 0)
    return True


def check(function: Callable, values: Mapping[str, Any], key: str) -> None:
    """Refuse hyper-parameters that the function does not have or that are out of their type or range.

    ``key`` is the place in the config that the error names, such as 'loss'; empty for the root.
    Raises UsageError.
    """
    found = signature(function)
    takes_anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found.values())
    # A positional parameter without a default is a tensor: the engine gives it.
    known = [
        name
        for name, p in found.items()
        if p.kind is inspect.Parameter.KEYWORD_ONLY or p.default is not inspect.Parameter.empty
    ]
    where = f"{key}." if key else ""
    for name, value in values.items():
        if name not in known:
            if takes_anything and name not in found:
                continue
            what = f"{function.__name__} has no such hyper-parameter" if key else "there is no such key"
            raise UsageError(
                f"{where}{name}: {what}{nearest(name, known) or '.'} There are: {', '.join(known) or 'none'}."
            )
        annotation = found[name].annotation
        if not accepts(annotation, value):
            shown = "null" if value is None else value
            raise UsageError(f"{where}{name}={shown} is not allowed; it must be {describe(annotation)}.")
