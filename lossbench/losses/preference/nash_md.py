"""Nash-MD: a step of mirror descent in the game of preferences, against a mixture of the policy and the reference.

    l   = P(mix before pi) + 1 / eta KL(pi || mix)        mix ~ old^(1 - eta beta) ref^(eta beta)

The minimum is at pi ~ mix exp(eta P(y before mix)). old is the policy before the step.

enumerated_logps      [B, Y] log pi of all completions of each prompt; taken to sum to 1 where they do not
old_enumerated_logps  [B, Y] log old           ref_enumerated_logps  [B, Y] log ref
preference_table      [B, Y, Y] P(row before column)
beta      >= 0, strength of the KL to the reference in the game; the paper's tau
eta       > 0, step size; eta beta <= 1
Returns   [B] loss per prompt
Numerics  log softmax, with probabilities only as weights
Paper     Munos et al. 2023, arXiv:2312.00886, the update of Nash-MD
Differs   sums over all completions in the place of samples; the update is as commonly given, not read in the paper
"""

from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from lossbench.games import preferred_to
from lossbench.ops import kl_divergence


def nash_md(
    enumerated_logps: Float[Tensor, "B Y"],
    old_enumerated_logps: Float[Tensor, "B Y"],
    ref_enumerated_logps: Float[Tensor, "B Y"],
    preference_table: Float[Tensor, "B Y Y"],
    *,
    beta: Annotated[float, Ge(0)] = 0.1,
    eta: Annotated[float, Gt(0)] = 1.0,
) -> Float[Tensor, "B"]:
    log_p, old, ref = (
        logps.log_softmax(-1) for logps in (enumerated_logps, old_enumerated_logps, ref_enumerated_logps)
    )
    mix = ((1 - eta * beta) * old + eta * beta * ref).log_softmax(-1)
    wins = (log_p.exp() * preferred_to(mix, preference_table)).sum(-1)
    return 1 - wins + kl_divergence(log_p, mix) / eta
