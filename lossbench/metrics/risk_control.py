"""Conformal risk control along a stream: prediction sets of labels whose mean loss is to stay at a wanted risk."""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.metrics.ranking import nan_unless, precise

GRID = 101  # values of lambda, from 0 to 1


def risk_control_metrics(
    past_logits: Float[Tensor, "M C"],
    past_labels: Float[Tensor, "M C"],
    logits: Float[Tensor, "N C"],
    labels: Float[Tensor, "N C"],
    *,
    target_risk: float,
    decay: float,
) -> dict[str, Float[Tensor, ""]]:
    """What the sets of a stream's examples come to, where the answer to each is known before the next, as 0-d tensors.

        lambda_n = min{lambda: (sum_i w_i L_i(lambda) + 1) / (sum_i w_i + 1) <= target_risk}        w_i = decay^(n - i)
        L_i(lambda) = part of the positive labels of i whose probability is below 1 - lambda, 0 without positives

    over all i < n, the past and what has come of the stream; lambda on a grid of 101 values from 0 to 1, and 1, with
    every label in the set, where none keeps the risk. decay 1 is conformal risk control, as if all were exchangeable.

    past_logits, past_labels   [M, C] examples that came before, in their order
    logits, labels             [N, C] those that are judged, in their order
    Returns     controlled_risk, the mean of L_n(lambda_n); controlled_risk_gap, its distance to the target;
                controlled_lambda and controlled_set_size, their means
    Source      Farinhas et al. 2024, arXiv:2310.01262, with weights decay^(n - i); Angelopoulos et al. 2024,
                arXiv:2208.02814, for decay 1
    """
    p = precise(torch.cat([past_logits, logits])).sigmoid()
    positive = torch.cat([past_labels, labels]) > 0.5
    grid = torch.linspace(0, 1, GRID, dtype=p.dtype, device=p.device)
    losses = torch.stack([false_negative_rate(p >= 1 - value, positive) for value in grid], -1)
    places = torch.arange(len(p), device=p.device)
    ages = places[len(past_logits) :, None] - places  # [N, M + N]
    weights = torch.where(ages > 0, precise(torch.as_tensor(decay, device=p.device)) ** ages.clamp(min=0), 0)
    risks = (weights @ losses + 1) / (weights.sum(-1, keepdim=True) + 1)
    # Risks never rise with lambda: as many values of the grid break the target as lie before the first that keeps it.
    chosen = (risks > target_risk).sum(-1, keepdim=True).clamp(max=GRID - 1)
    risk = losses[len(past_logits) :].gather(-1, chosen).mean()
    sizes = (p[len(past_logits) :] >= 1 - grid[chosen]).sum(-1)
    values = {
        "controlled_risk": risk,
        "controlled_risk_gap": (risk - target_risk).abs(),
        "controlled_lambda": grid[chosen].mean(),
        "controlled_set_size": precise(sizes).mean(),
    }
    return nan_unless(past_logits.isfinite().all() & logits.isfinite().all(), values)


def false_negative_rate(included: Tensor, positive: Tensor) -> Float[Tensor, "N"]:
    """Part of the positive labels of each example that is not in its set; 0 where it has none."""
    missed = precise((positive & ~included).sum(-1))
    return missed / positive.sum(-1).clamp(min=1)
