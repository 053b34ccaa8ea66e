"""Dice: one minus the soft F1 of a bundle of examples: the whole batch, or each example alone.

    linear    1 - (2 sum p y + smoothing) / (sum p + sum y + smoothing)        sums over the bundle, for each label
    squared   1 - (2 sum p y + smoothing) / (sum p^2 + sum y^2 + smoothing)
    p = sigmoid(logits)        y = labels        mean over the labels

logits    [B, C] unnormalised scores            labels    [B, C] indicators y in [0, 1]
bundle    batch: the counts of the batch are added before they are divided. example: each example is divided by itself,
          and the loss is their mean, which need not follow the F1 of all examples together: with smoothing = 0, a
          rejected negative earns nothing
form      linear or squared
smoothing >= 0: keeps a bundle without positives defined, and rewards it for rejecting them; 0 / 0 counts as no loss
Returns   [] for bundle=batch, which does not add over micro-batches and wants batches that hold positives;
          [B] for bundle=example, the mean over its labels
Numerics  bounded: the sigmoid saturates, so that the gradient vanishes where a score is confident, right or wrong
Paper     Milletari et al. 2016, arXiv:1606.04797 (squared); on what bundles do: Yuan et al. 2021, arXiv:2103.11795
Differs   smoothing is the same above and below; MONAI has one for each. Its DiceLoss(batch=True) is bundle=batch
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def dice(
    logits: Float[Tensor, "B C"],
    labels: Float[Tensor, "B C"],
    *,
    bundle: Literal["batch", "example"] = "batch",
    form: Literal["linear", "squared"] = "linear",
    smoothing: Annotated[float, Ge(0)] = 1.0,
) -> Float[Tensor, ""] | Float[Tensor, "B"]:
    p = logits.sigmoid()
    both = 2 * p * labels
    either = p + labels if form == "linear" else p.square() + labels.square()
    if bundle == "batch":
        both, either = both.sum(0), either.sum(0)
    whole = either + smoothing
    return (torch.where(whole > 0, either - both, 0) / torch.where(whole > 0, whole, 1)).mean(-1)
