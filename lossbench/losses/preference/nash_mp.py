"""Nash-MP: a round of mirror prox in the game of preferences with a KL to the reference: look ahead, then step.

    half = argmin_pi P(old before pi)  + beta KL(pi || ref) + beta / eta KL(pi || old)
    l    =           P(half before pi) + beta KL(pi || ref) + beta / eta KL(pi || old)

half has a closed form: ref^(eta / (1 + eta)) old^(1 / (1 + eta)) exp(eta / (beta (1 + eta)) P(y before old)), up to a
factor. old is the policy before the round. The equilibrium is where pi ~ ref exp(P(y before pi) / beta).

enumerated_logps      [B, Y] log pi of all completions of each prompt; taken to sum to 1 where they do not
old_enumerated_logps  [B, Y] log old           ref_enumerated_logps  [B, Y] log ref
preference_table      [B, Y, Y] P(row before column)
beta      > 0, strength of the KL to the reference
eta       > 0, step size; the paper's analysis has 2 beta
Returns   [B] the second objective, for each prompt
Numerics  log softmax, with probabilities only as weights
Paper     Tiapkin et al. 2025, arXiv:2505.19731, the two steps of Nash-MP
Differs   sums over all completions in the place of samples, and half in closed form. The paper's recipe for language
          models, with a slow and a fast copy of the weights, is not here
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.games import mirror_step, preferred_to
from lossbench.ops import kl_divergence


def nash_mp(
    enumerated_logps: Float[Tensor, "B Y"],
    old_enumerated_logps: Float[Tensor, "B Y"],
    ref_enumerated_logps: Float[Tensor, "B Y"],
    preference_table: Float[Tensor, "B Y Y"],
    *,
    beta: Annotated[float, Gt(0)] = 0.1,
    eta: Annotated[float, Gt(0)] = 0.2,
) -> Float[Tensor, "B"]:
    log_p, old, ref = (
        logps.log_softmax(-1) for logps in (enumerated_logps, old_enumerated_logps, ref_enumerated_logps)
    )
    half = mirror_step(old, ref, preferred_to(old, preference_table), beta=beta, eta=eta)
    wins = (log_p.exp() * preferred_to(half, preference_table)).sum(-1)
    return 1 - wins + beta * kl_divergence(log_p, ref) + beta / eta * kl_divergence(log_p, old)
