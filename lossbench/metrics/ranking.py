"""What the metrics share: precision, means over defined entries, and everything that follows from a sorted order.

No function here waits for the device or branches on the value of a tensor: a whole evaluation is queued at once.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CHUNK = 2**22  # scores that are sorted at once: bounds the memory for many examples times many classes


def precise(tensor: Tensor) -> Tensor:
    """The tensor in float64, or in float32 on a device that lacks it (MPS)."""
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)


def mean_where(values: Float[Tensor, "n"], defined: Bool[Tensor, "n"]) -> Float[Tensor, ""]:
    """Mean of the values where they are defined; NaN where none is. Undefined values may be anything."""
    return torch.where(defined, values, 0).sum() / defined.sum()


class Ranked(NamedTuple):
    """Rows of scores in ascending order. Equal scores form a block.

    positives  [K, N] whether the entry at each place is a positive
    first      [K, N] first place, from 0, of the block that each place belongs to
    last       [K, N] last place of this block
    """

    positives: Bool[Tensor, "K N"]
    first: Int[Tensor, "K N"]
    last: Int[Tensor, "K N"]


def blocks(ordered: Float[Tensor, "*k N"]) -> tuple[Int[Tensor, "*k N"], Int[Tensor, "*k N"]]:
    """First and last place, from 0, of the block of equal values that each place of an ascending row belongs to."""
    count = ordered.shape[-1]
    places = torch.arange(count, device=ordered.device)
    differs = ordered[..., 1:] != ordered[..., :-1]
    edge = torch.ones_like(ordered[..., :1], dtype=torch.bool)
    starts = torch.where(torch.cat([edge, differs], -1), places, 0)
    ends = torch.where(torch.cat([differs, edge], -1), places, count - 1)
    return starts.cummax(-1).values, ends.flip(-1).cummin(-1).values.flip(-1)


def ranked(scores: Float[Tensor, "K N"], positives: Bool[Tensor, "K N"]) -> Ranked:
    """Sorts each row of the scores and takes its positives along."""
    ordered, order = scores.contiguous().sort(-1)
    return Ranked(positives.gather(-1, order), *blocks(ordered))


def mid_ranks(values: Float[Tensor, "*k N"]) -> Float[Tensor, "*k N"]:
    """Rank of each value in its row, from 1; equal values share the mean of their ranks."""
    ordered, order = values.contiguous().sort(-1)
    first, last = blocks(ordered)
    return precise(torch.zeros_like(order).scatter(-1, order, first + last)) / 2 + 1


def auroc_per_row(rows: Ranked) -> Float[Tensor, "K"]:
    """Area under the ROC curve: the probability that a positive scores above a negative, a tie counting one half.

        (sum of the mid-ranks of the positives - P (P + 1) / 2) / (P Q)        P positives, Q negatives

    NaN where a row has no positive or no negative.
    Source  Mann and Whitney 1947; Hanley and McNeil 1982
    """
    positives = rows.positives.sum(-1)
    negatives = rows.positives.shape[-1] - positives
    # Integers are exact: twice the mid-ranks is first + last + 2.
    twice = torch.where(rows.positives, rows.first + rows.last + 2, 0).sum(-1) - positives * (positives + 1)
    return precise(twice) / (2 * precise(positives) * precise(negatives))


def average_precision_per_row(rows: Ranked) -> Float[Tensor, "K"]:
    """Average precision: the mean over the positives of the precision at the positive's own score.

        1 / P sum_i |{j positive: s_j >= s_i}| / |{j: s_j >= s_i}|        i over the P positives

    NaN where a row has no positive.
    Source  scikit-learn's average_precision_score: the sum of precision times the step in recall, no interpolation
    """
    count = rows.positives.shape[-1]
    positives = rows.positives.sum(-1, keepdim=True)
    below = rows.positives.cumsum(-1) - rows.positives.long()  # positives at earlier places
    precision = precise(positives - below.gather(-1, rows.first)) / (count - rows.first)
    return torch.where(rows.positives, precision, 0).sum(-1) / positives.squeeze(-1)


def column_slices(num_rows: int, num_columns: int) -> list[slice]:
    """Slices that cover the columns, each of at most CHUNK entries (but at least one column)."""
    step = max(1, CHUNK // max(num_rows, 1))
    return [slice(start, min(start + step, num_columns)) for start in range(0, num_columns, step)]


def nan_unless(valid: Bool[Tensor, ""], values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The 0-d values, all of them NaN where ``valid`` is false: a broken model must never look good."""
    stacked = torch.stack([precise(value) for value in values.values()])
    return dict(zip(values, torch.where(valid, stacked, torch.nan).unbind(), strict=True))
