"""Counterfactual constraint: predictions may depend on the protected attribute by so much and no more, by dual ascent.

    minimise the mean loss such that g = mean_i KL(p_i || p'_i) - level <= 0    p'_i: had the attribute been the other
    l_i = multiplier (KL(p_i || p'_i) - level)
    multiplier <- max(0, multiplier + dual_rate g)        after every primal_steps steps, at the weights they lead to

The loss plus the mean of l_i is the Lagrangian. The first primal_steps steps have the multiplier 0; g is measured on
the batch of the step that follows, before it is taken, so that ascent and descent take turns.

logits                  [B, C] unnormalised scores
counterfactual_logits   [B, C] the scores of the same examples with the other attribute
state         {"multiplier": [], "step": []} both 0 at first
level         >= 0; the divergence that is allowed, in nats
dual_rate     > 0; step of the multiplier
primal_steps  steps on the weights for one on the multiplier
Returns       [B] term per example, below 0 where the constraint holds with room, and the new state
Numerics      log-softmax
Paper         Elenter et al. 2024, arXiv:2403.11844, dual ascent; counterfactual fairness is their experiment
Differs       theirs minimises the Lagrangian (approximately) before each step on the multiplier: primal_steps is how
              long. The multiplier is common to the batch, so that a term depends on the whole batch
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import kl_divergence, stopgrad


def init_state(*, device: torch.device | None = None) -> dict[str, Tensor]:
    return {"multiplier": torch.zeros((), device=device), "step": torch.zeros((), device=device)}


def counterfactual_constraint(
    logits: Float[Tensor, "B C"],
    counterfactual_logits: Float[Tensor, "B C"],
    state: dict[str, Tensor],
    *,
    level: Annotated[float, Ge(0)] = 0.01,
    dual_rate: Annotated[float, Gt(0)] = 0.1,
    primal_steps: Annotated[int, Ge(1)] = 1,
) -> tuple[Float[Tensor, "B"], dict[str, Tensor]]:
    violation = kl_divergence(logits.log_softmax(-1), counterfactual_logits.log_softmax(-1)) - level
    old, step = state["multiplier"], state["step"]
    ascended = (old + dual_rate * stopgrad(violation).mean().to(old.dtype)).clamp(min=0)
    multiplier = torch.where((step > 0) & (step % primal_steps == 0), ascended, old)
    return multiplier.to(logits.dtype) * violation, {"multiplier": multiplier, "step": step + 1}
