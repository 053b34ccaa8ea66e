"""Search spaces: grid or random, with the same number of trials for every loss.

A comparison of tuned losses is fair only if each had the same number of tries. Keys that all losses share (such as the
learning rate) get the same values in trial t for every loss; a loss's own keys get their own stream.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from lossbench.errors import UsageError


def trials(search: Any, loss: str, has: Callable[[str], bool]) -> list[dict[str, Any]]:
    """The settings {key: value} of every trial for one loss.

    search  {"method": "grid" or "random", "trials": number, "seed": number, "space": {key: axis},
             "per_loss": {loss: {key: axis}}}; an axis is {"values": [...]} or {"low", "high", "scale": "linear" or
             "log"}; a key that this run does not have is left out
    Raises UsageError for a malformed space, or a grid whose size is not ``trials``.
    """
    space = {**(search.get("space") or {}), **((search.get("per_loss") or {}).get(loss) or {})}
    space = {key: axis for key, axis in space.items() if has(key)}
    number = search["trials"]
    if not isinstance(number, int) or number < 1:
        raise UsageError(f"search.trials={number} must be a whole number >= 1.")
    for key, axis in space.items():
        _check(key, axis)
    if search["method"] == "random":
        return [
            {key: _draw(axis, _uniform(search["seed"], t, key)) for key, axis in space.items()} for t in range(number)
        ]
    if search["method"] != "grid":
        raise UsageError(f"search.method={search['method']} is not known. Choose grid or random.")
    for key, axis in space.items():
        if "values" not in axis:
            raise UsageError(f"search.space.{key}: a grid needs 'values'. List them, or use search.method=random.")
    grid = [dict(zip(space, point, strict=True)) for point in itertools.product(*(a["values"] for a in space.values()))]
    if len(grid) != number:
        raise UsageError(
            f"search: the grid of loss={loss} has {len(grid)} points, but search.trials={number}. Every loss must get "
            "the same number of trials: change the values, or use search.method=random."
        )
    return grid


def _check(key: str, axis: Any) -> None:
    if isinstance(axis, Mapping):
        if isinstance(axis.get("values"), list) and axis["values"]:
            return
        low, high = axis.get("low"), axis.get("high")
        if isinstance(low, int | float) and isinstance(high, int | float) and low < high:
            scale = axis.get("scale", "linear")
            if scale == "linear" or (scale == "log" and low > 0):
                return
    raise UsageError(
        f"search.space.{key} is not an axis. Give {{values: [...]}} or {{low: .., high: .., scale: linear|log}} with "
        "low < high (and 0 < low where the scale is log)."
    )


def _uniform(seed: int, trial: int, key: str) -> float:
    from lossbench.seeds import derive

    return derive(seed, f"search/{trial}/{key}") / 2**63


def _draw(axis: Mapping[str, Any], u: float) -> Any:
    if "values" in axis:
        return axis["values"][int(u * len(axis["values"]))]
    low, high = axis["low"], axis["high"]
    if axis.get("scale", "linear") == "log":
        return math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    return low + u * (high - low)
