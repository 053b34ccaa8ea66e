"""Subdominance: decisions drawn from the model shall cost less than those of others, in every one of several ways.

    L = mean_s mean_j sum_k [scale_k (f_k(y_s) - f_k(demonstration_j)) + 1]_+
    y_s ~ P(. | x), independently for each example, S times

f are the four costs of lossbench/decisions.py, all over the batch: error, demographic parity, equalised odds,
predictive rate parity. The gradient is that of the policy, mean_s (L_s - others' mean) grad log P(y_s | x).

Each scale is chosen, for the next step, by a sweep over the demonstrations from the best to the worst, c_0 <= c_1 ...:
it ends at the first m with mean f + regularization <= mean(c_0, ..., c_m), or at the last one, and the scale is
1 / (c_m - mean f), at which the hinge of demonstration m closes. Where not even that one is beaten, it is the mean of
the scales of the last step.

logits         [B, C] unnormalised scores; the decision is for or against class 1
targets        [B] class indices                groups          [B] group indices
group_counts   [G] for the number of groups     demonstrations  [B, J] decisions of others, 1 or 0
uniforms       [B, S] numbers from U(0, 1), from which the decisions are drawn
progress       [] part of the budget that is spent
state          {"scales": [4]} 1 at first
regularization >= 0; lambda: by how much the demonstrations up to m shall be beaten on average
warm_up        in [0, 1); the part of the budget in which the loss is cross-entropy, and the scales wait
Returns        [] one value for the batch, and the new state. It does not add over micro-batches
Numerics       scales are at most 100, as in the authors' code
Paper          Memarrast et al. 2023, arXiv:2301.13420: subdominance minimisation by policy gradient. The paper's text
               was not at hand: costs, hinge, gradient and the sweep are those of the authors' code
Differs        the authors' code starts from a fitted logistic regression, which warm_up stands for. It compares each
               draw with one demonstration on that demonstration's own rows, where here every draw meets all of them on
               the rows of the batch, and takes a running mean for what is subtracted from L_s
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.decisions import COSTS, decision_costs
from lossbench.ops import log1mexp, stopgrad, true_class_log_p

LARGEST_SCALE = 100.0


def init_state(*, device: torch.device | None = None) -> dict[str, Tensor]:
    return {"scales": torch.ones(len(COSTS), device=device)}


def subdominance(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    groups: Int[Tensor, "B"],
    group_counts: Float[Tensor, "G"],
    demonstrations: Float[Tensor, "B J"],
    uniforms: Float[Tensor, "B S"],
    progress: Float[Tensor, ""],
    state: dict[str, Tensor],
    *,
    regularization: Annotated[float, Ge(0)] = 0.01,
    warm_up: Annotated[float, Interval(ge=0, lt=1)] = 0.3,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    log_for = true_class_log_p(logits, torch.ones_like(targets))
    decisions = (uniforms.log() < stopgrad(log_for).unsqueeze(-1)).to(logits.dtype).mT  # [S, B]
    num_groups, draws = group_counts.shape[-1], len(decisions)
    costs = decision_costs(decisions, targets, groups, num_groups)
    others = decision_costs(demonstrations.to(logits.dtype).mT, targets, groups, num_groups)
    scales = state["scales"].to(logits.dtype)
    hinge = (scales * (costs.unsqueeze(1) - others) + 1).clamp(min=0)  # [S, J, K]
    of_draw = hinge.mean(1).sum(-1)
    advantage = (of_draw - of_draw.mean()) * draws / max(draws - 1, 1)  # less the mean of the other draws
    log_likelihood = decisions @ log_for + (1 - decisions) @ log1mexp(log_for)
    value = of_draw.mean() + (advantage * (log_likelihood - stopgrad(log_likelihood))).mean()
    warm = torch.as_tensor(progress, device=logits.device) < warm_up
    swept = torch.where(warm, scales, _sweep(costs.mean(0), others, scales, regularization))
    value = torch.where(warm, -true_class_log_p(logits, targets).mean(), value)
    return value, {"scales": swept.to(state["scales"].dtype)}


def _sweep(
    own: Float[Tensor, "K"], others: Float[Tensor, "J K"], scales: Float[Tensor, "K"], regularization: float
) -> Float[Tensor, "K"]:
    ordered = others.sort(0).values
    number = len(ordered)
    counts = torch.arange(1, number + 1, device=own.device, dtype=own.dtype).unsqueeze(-1)
    passed = own + regularization > ordered.cumsum(0) / counts
    end = passed.long().cumprod(0).sum(0).clamp(max=number - 1)  # the first m that is not passed
    margin = ordered.gather(0, end.unsqueeze(0)).squeeze(0) - own
    beaten = margin > 0
    scale = 1 / torch.where(beaten, margin, 1).clamp(min=1 / LARGEST_SCALE)
    return torch.where(beaten, scale, scales.mean())
