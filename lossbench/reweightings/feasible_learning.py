"""Feasible learning: every example's loss is to be at most a level; its multiplier, learned on the way, is its weight.

    lambda_i <- max(0, lambda_i + dual_rate (l_i - level))          for the examples of the batch, first
    objective   mean_i lambda_i l_i                                 with the new multipliers: w_i = lambda_i
    resilient:  lambda_i <- max(0, lambda_i + dual_rate (l_i - level - lambda_i / slack))

The Lagrangian of "find a model with l_i <= level for all i", by gradient ascent and descent in turns. Where levels can
be exceeded by xi_i at a cost of slack / 2 xi_i^2, the best xi_i is lambda_i / slack: the multipliers decay.

losses     [B] loss per example l               ids     [B] each example's index in the training set, no two the same
state      {"multipliers": [N]} lambda of every training example, 0 at first; those of the batch are replaced
level      what a loss may be; -log 0.6 = 0.51 asks for a probability of 0.6 of the true class
dual_rate  > 0; step of the multipliers
slack      > 0, the resilient form; null: levels must be met
Returns    [B] weight per example, 0 or more, and the new state. There is no weight on the mean loss: examples that have
           always met the level have weight 0
Paper      Ramirez et al. 2025, arXiv:2501.14912; level, dual_rate 1e-2 for two moons and 1e-4 for CIFAR-10, slack 1
Differs    the authors' code sums over the batch where this is a mean: with an optimizer that sees the size of the
           gradient, their dual_rate is ours divided by the batch size
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Tensor


def init_state(*, num_examples: int, device: torch.device | None = None) -> dict[str, Tensor]:
    return {"multipliers": torch.zeros(num_examples, device=device)}


def feasible_learning(
    losses: Float[Tensor, "B"],
    ids: Int[Tensor, "B"],
    state: dict[str, Tensor],
    *,
    level: Annotated[float, Ge(0)] = 0.5108256,
    dual_rate: Annotated[float, Gt(0)] = 0.01,
    slack: Annotated[float, Gt(0)] | None = None,
) -> tuple[Float[Tensor, "B"], dict[str, Tensor]]:
    old = state["multipliers"][ids].to(losses.dtype)
    violation = losses - level
    if slack is not None:
        violation = violation - old / slack
    new = (old + dual_rate * violation).clamp(min=0)
    return new, {"multipliers": state["multipliers"].index_put((ids,), new.to(state["multipliers"].dtype))}
