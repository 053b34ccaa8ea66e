"""What binary decisions cost: their errors, and what they do to groups."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot

COSTS = ("error", "demographic parity", "equalised odds", "predictive rate parity")


def decision_costs(
    decisions: Float[Tensor, "M B"], targets: Int[Tensor, "B"], groups: Int[Tensor, "B"], num_groups: int
) -> Float[Tensor, "M K"]:
    """The costs of M ways to decide for the same B examples, each in [0, 1]; lower is better. K = 4:

        error                    part of the decisions that are not the target
        demographic parity       gap between groups in the part of positive decisions
        equalised odds           the larger of the gaps in the true and in the false positive rate
        predictive rate parity   the larger of the gaps in the positive and in the negative predictive value

    decisions  1 or 0        targets  class 1 is the positive one, all others are negative
    A group without an example that a rate needs is left out of its gap; a predictive value without decisions is 0.
    Source     Memarrast et al. 2023, arXiv:2301.13420, and their code
    """
    positive = (targets == 1).long()
    cells = one_hot(2 * groups + positive, 2 * num_groups, decisions.dtype)
    chosen = (decisions @ cells).unflatten(-1, (num_groups, 2))  # [M, G, 2]: decided positive, by group and target
    all_of = cells.sum(0).unflatten(-1, (num_groups, 2))
    refused = all_of - chosen
    error = (chosen[..., 0].sum(-1) + refused[..., 1].sum(-1)) / len(targets)
    present = all_of.sum(-1) > 0
    rates = chosen / all_of.clamp(min=1)
    parity = _gap(chosen.sum(-1) / all_of.sum(-1).clamp(min=1), present)
    odds = torch.maximum(_gap(rates[..., 0], all_of[:, 0] > 0), _gap(rates[..., 1], all_of[:, 1] > 0))
    values = [chosen[..., 1] / chosen.sum(-1).clamp(min=1), refused[..., 0] / refused.sum(-1).clamp(min=1)]
    predictive = torch.maximum(*(_gap(value, present) for value in values))
    return torch.stack([error, parity, odds, predictive], -1)


def _gap(rates: Float[Tensor, "M G"], known: Tensor) -> Float[Tensor, "M"]:
    """The largest less the least of the rates of the groups for which it is known; 0 where none is."""
    gap = torch.where(known, rates, -torch.inf).amax(-1) - torch.where(known, rates, torch.inf).amin(-1)
    return torch.where(gap.isfinite(), gap, 0)
