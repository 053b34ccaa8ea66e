"""Games of preferences: two players say one completion each, and the one that is preferred wins.

table [*, Y, Y] holds P(row before column) and sums to 1 with its transpose; policies are logarithms [*, Y]. With a
reference ref and a strength beta the value of a policy pi against q is

    P(pi before q) - beta KL(pi || ref) + beta KL(q || ref)

which has one equilibrium, pi ~ ref exp(P(. before pi) / beta). Nothing here checks that the policies sum to 1.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import kl_divergence


def preferred_to(log_q: Float[Tensor, "*b Y"], table: Float[Tensor, "*b Y Y"]) -> Float[Tensor, "*b Y"]:
    """Probability that each completion is preferred to one of q."""
    return torch.einsum("...ij,...j->...i", table, log_q.exp())


def mirror_step(
    old: Float[Tensor, "*b Y"], ref: Float[Tensor, "*b Y"], wins: Float[Tensor, "*b Y"], *, beta: float, eta: float
) -> Float[Tensor, "*b Y"]:
    """The policy with the largest E[wins] - beta KL(pi || ref) - beta / eta KL(pi || old)."""
    return ((eta * ref + old + eta / beta * wins) / (1 + eta)).log_softmax(-1)


def exploitability(log_p: Float[Tensor, "*b Y"], table: Float[Tensor, "*b Y Y"]) -> Float[Tensor, "*b"]:
    """How much more often than half the time the best answer to p is preferred to it, in [0, 1/2]."""
    return preferred_to(log_p, table).amax(-1) - 0.5


def regularized_exploitability(
    log_p: Float[Tensor, "*b Y"], ref: Float[Tensor, "*b Y"], table: Float[Tensor, "*b Y Y"], *, beta: float
) -> Float[Tensor, "*b"]:
    """The value of the best answer to p in the game with the KL, over that of p itself, which is 1/2; >= 0."""
    best = beta * (ref + preferred_to(log_p, table) / beta).logsumexp(-1)
    return best + beta * kl_divergence(log_p, ref) - 0.5
