"""INPO: a step of mirror descent in the game of preferences, as a square on pairs that the policy itself has sampled.

    h_i = log pi(w_i) / pi(l_i) - tau / eta log ref(w_i) / ref(l_i) - (1 - tau / eta) log old(w_i) / old(l_i)
    l_i = (h_i - 1 / (2 eta))^2        w: chosen, l: rejected; both sampled from old

Over all such pairs the minimum is at pi ~ exp(P(y before old) / eta) ref^(tau / eta) old^(1 - tau / eta), where
P(y before old) is the probability that y is preferred to a completion of old: nobody has to know it. tau = eta is ipo.

chosen_logps    [B] log pi(w)    ref_chosen_logps    [B] log ref(w)    old_chosen_logps    [B] log old(w)
rejected_logps  [B] log pi(l)    ref_rejected_logps  [B] log ref(l)    old_rejected_logps  [B] log old(l)
eta             > 0, inverse of the step size
tau             >= 0, at most eta: strength of the KL to the reference in the game
Returns   [B] loss per pair
Numerics  plain
Paper     Zhang et al. 2024, arXiv:2407.00617, h and the loss on pairs
Differs   the code of a paper that follows it takes means over tokens, which can never reach 1 / (2 eta); here, as in
          the paper, sums
"""

from typing import Annotated

from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor


def inpo(
    chosen_logps: Float[Tensor, "B"],
    rejected_logps: Float[Tensor, "B"],
    ref_chosen_logps: Float[Tensor, "B"],
    ref_rejected_logps: Float[Tensor, "B"],
    old_chosen_logps: Float[Tensor, "B"],
    old_rejected_logps: Float[Tensor, "B"],
    *,
    eta: Annotated[float, Gt(0)] = 0.0075,
    tau: Annotated[float, Ge(0)] = 0.0025,
) -> Float[Tensor, "B"]:
    policy = chosen_logps - rejected_logps
    reference = ref_chosen_logps - ref_rejected_logps
    old = old_chosen_logps - old_rejected_logps
    h = policy - tau / eta * reference - (1 - tau / eta) * old
    return (h - 1 / (2 * eta)).square()
