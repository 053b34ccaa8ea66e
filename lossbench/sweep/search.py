"""Search spaces: grid or random, with the same number of trials for every loss.

A comparison of tuned losses is fair only if each had the same number of tries. In trial t all losses get the same value
of a key that they share, such as the learning rate: it is drawn from a stream of (seed, t, key) alone.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from annotated_types import Ge

from lossbench import contract
from lossbench.errors import UsageError, nearest

AXIS = ("values", "low", "high", "scale", "integer")


def search_settings(
    *,
    method: Literal["grid", "random"],
    trials: Annotated[int, Ge(1)],
    seed: Annotated[int, Ge(0)],
    space: Mapping | None,
    per_loss: Mapping | None,
) -> None:
    """The keys of ``search`` in a config.

    trials    for every loss
    space     {key: axis} for all losses, nested or dotted; a key that a run does not have is left out
    per_loss  {loss: {key: axis}}, in addition
    An axis is {values: [...]} or {low: .., high: .., scale: linear or log, integer: true or false}.
    """


def keys_of(search: Mapping[str, Any], losses: Iterable[str]) -> list[str]:
    """All keys that a search over these losses tries."""
    per_loss = search.get("per_loss") or {}
    own = [key for loss in losses for key in _axes(per_loss.get(loss))]
    return list(dict.fromkeys([*_axes(search.get("space")), *own]))


def _axes(space: Any, prefix: str = "") -> dict[str, Any]:
    """{dotted key: axis} of a space, however it is nested."""
    found: dict[str, Any] = {}
    for key, node in (space or {}).items():
        is_axis = isinstance(node, Mapping) and any(k in AXIS and not isinstance(v, Mapping) for k, v in node.items())
        nested = isinstance(node, Mapping) and node and not is_axis
        found |= _axes(node, f"{prefix}{key}.") if nested else {f"{prefix}{key}": node}
    return found


def trials(search: Mapping[str, Any], loss: str, has: Callable[[str], bool]) -> list[dict[str, Any]]:
    """The settings {key: value} of every trial for one loss; ``has`` tells the keys that its runs have.

    Raises UsageError for a malformed space, and where a loss would get fewer trials than the others.
    """
    contract.check(search_settings, search, "search")
    own = _axes((search.get("per_loss") or {}).get(loss))
    for key in own:
        if not has(key):
            raise UsageError(f"search.per_loss.{loss}.{key}: loss={loss} has no such key.")
    space = {key: axis for key, axis in _axes(search.get("space")).items() if has(key)} | own
    for key, axis in space.items():
        _check(key, axis)
    number = search["trials"]
    if search["method"] == "grid":
        for key, axis in space.items():
            if "values" not in axis:
                raise UsageError(f"search.space.{key}: a grid needs 'values'. List them, or use search.method=random.")
        points = itertools.product(*(axis["values"] for axis in space.values()))
        made = [dict(zip(space, point, strict=True)) for point in points]
        remedy = "change the values, or use search.method=random"
    else:
        made = [{key: _draw(axis, search["seed"], t, key) for key, axis in space.items()} for t in range(number)]
        remedy = "lower search.trials, or widen its space, such as with search.per_loss"
    different = len({json.dumps(trial, sort_keys=True) for trial in made})
    if different != number:
        absent = [key for key in _axes(search.get("space")) if not has(key)]
        raise UsageError(
            f"search: loss={loss} has {different} different settings to try, but search.trials={number}. Every loss "
            f"must get the same number of trials: {remedy}." + (f" It has no {', '.join(absent)}." if absent else "")
        )
    return made


def _check(key: str, axis: Any) -> None:
    if isinstance(axis, Mapping):
        for name in axis:
            if name not in AXIS:
                raise UsageError(f"search.space.{key}.{name} is not known{nearest(name, AXIS) or '.'}")
        if isinstance(axis.get("values"), list) and axis["values"]:
            return
        low, high, scale = axis.get("low"), axis.get("high"), axis.get("scale", "linear")
        numbers = isinstance(low, int | float) and isinstance(high, int | float)
        if numbers and low < high and (scale == "linear" or (scale == "log" and low > 0)):  # type: ignore[operator]
            return
    raise UsageError(
        f"search.space.{key} is not an axis. Give {{values: [...]}} or {{low: .., high: .., scale: linear|log}} with "
        "low < high (and 0 < low where the scale is log)."
    )


def _uniform(seed: int, name: str) -> float:
    from lossbench.seeds import derive

    return derive(seed, f"search/{name}") / 2**63


@cache
def _shuffled(number: int, seed: int, name: str) -> list[int]:
    """The whole numbers below ``number`` in an order of their own."""
    return sorted(range(number), key=lambda i: _uniform(seed, f"{name}/{i}"))


def _draw(axis: Mapping[str, Any], seed: int, trial: int, key: str) -> Any:
    if "values" in axis:  # each of them once before any comes again
        around, position = divmod(trial, len(axis["values"]))
        return axis["values"][_shuffled(len(axis["values"]), seed, f"{around}/{key}")[position]]
    u = _uniform(seed, f"{trial}/{key}")
    low, high = axis["low"], axis["high"]
    if axis.get("integer"):
        high += 1
    value = low + u * (high - low)
    if axis.get("scale", "linear") == "log":
        value = math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    return min(int(value), axis["high"]) if axis.get("integer") else value
