"""Subdominance: decisions drawn from the model shall cost less than those of others, in every one of several ways.

    L = mean_s mean_j sum_k [scale_k (f_k(y_s) - f_k(demonstration_j)) + 1]_+ + regularization sum_k scale_k
    y_s ~ P(. | x), independently for each example, S times

f are the four costs of lossbench/decisions.py, all over the batch: error, demographic parity, equalised odds,
predictive rate parity. The gradient is that of the policy, mean_s (L_s - others' mean) grad log P(y_s | x), and the
value is L without its last term. The scales descend on L too, by exponentiated gradient.

logits         [B, C] unnormalised scores; the decision is for or against class 1
targets        [B] class indices                groups          [B] group indices
group_counts   [G] for the number of groups     demonstrations  [B, J] decisions of others, 1 or 0
uniforms       [B, S] numbers from U(0, 1), from which the decisions are drawn
state          {"log_scales": [4]} 0 at first
regularization >= 0; lambda: without it the scales of a cost that is always beaten would only grow
scale_rate     >= 0; step of the exponentiated gradient
Returns        [] one value for the batch, and the new state. It does not add over micro-batches
Numerics       scales are at most 100, as in the authors' code
Paper          Memarrast et al. 2023, arXiv:2301.13420: subdominance minimisation by policy gradient
Differs        the authors' code starts from a fitted logistic regression, compares each draw with one demonstration on
               that demonstration's own rows, takes a running mean for what is subtracted from L_s, and sets the scales
               by a sweep over the sorted demonstrations; its lambda enters there
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.decisions import COSTS, decision_costs
from lossbench.ops import log1mexp, stopgrad, true_class_log_p

LARGEST_LOG_SCALE = 4.605170185988092  # log 100


def init_state(*, device: torch.device | None = None) -> dict[str, Tensor]:
    return {"log_scales": torch.zeros(len(COSTS), device=device)}


def subdominance(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    groups: Int[Tensor, "B"],
    group_counts: Float[Tensor, "G"],
    demonstrations: Float[Tensor, "B J"],
    uniforms: Float[Tensor, "B S"],
    state: dict[str, Tensor],
    *,
    regularization: Annotated[float, Ge(0)] = 0.01,
    scale_rate: Annotated[float, Ge(0)] = 0.1,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    log_for = true_class_log_p(logits, torch.ones_like(targets))
    decisions = (uniforms.log() < stopgrad(log_for).unsqueeze(-1)).to(logits.dtype).mT  # [S, B]
    num_groups, draws = group_counts.shape[-1], len(decisions)
    costs = decision_costs(decisions, targets, groups, num_groups)
    beaten_by = costs.unsqueeze(1) - decision_costs(demonstrations.to(logits.dtype).mT, targets, groups, num_groups)
    scales = state["log_scales"].exp().to(logits.dtype)
    hinge = (scales * beaten_by + 1).clamp(min=0)  # [S, J, K]
    of_draw = hinge.mean(1).sum(-1)
    advantage = (of_draw - of_draw.mean()) * draws / max(draws - 1, 1)  # less the mean of the other draws
    log_likelihood = decisions @ log_for + (1 - decisions) @ log1mexp(log_for)
    value = of_draw.mean() + (advantage * (log_likelihood - stopgrad(log_likelihood))).mean()
    of_scales = torch.where(hinge > 0, beaten_by, 0).mean((0, 1)) + regularization
    log_scales = state["log_scales"] - scale_rate * of_scales.to(state["log_scales"].dtype)
    return value, {"log_scales": log_scales.clamp(max=LARGEST_LOG_SCALE)}
