"""Best-of-n: of n independent completions the one with the highest reward; its distribution and its KL, exactly.

    pi_n(y) = F(y)^n - F(y-)^n        F(y), F(y-): probability of a reward of at most, of less than that of y
    KL(pi_n || p) <= log n - (n - 1) / n

The bound is the usual formula. It is reached where no completion has a probability that one would notice, and too large
where some have. Completions of equal rewards share their probability as they do under p. n is any number from 1.

Paper   Beirami et al. 2024, arXiv:2401.01879: the KL is at most the usual formula, and the better estimate
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.ops import log1mexp


def best_of_n(log_p: Float[Tensor, "P Y"], rewards: Float[Tensor, "P Y"], n: Tensor | float) -> Float[Tensor, "P Y"]:
    """Log-probability of every completion under best-of-n; log_p: under the policy that is chosen from."""
    rewards = (rewards * 1e9).round()  # sums of the same numbers in another order are ties
    ordered, order = rewards.sort(-1)
    p = log_p.exp().gather(-1, order)
    # Sums from below and from above: near 1, F is 1 minus what is above, and for large n its last digits decide.
    mass = torch.nn.functional.pad(p.cumsum(-1), (1, 0))
    tail = torch.nn.functional.pad(p.flip(-1).cumsum(-1).flip(-1), (0, 1))
    left = torch.searchsorted(ordered, rewards.contiguous())
    right = torch.searchsorted(ordered, rewards.contiguous(), right=True)
    upto, above = mass.gather(-1, right), tail.gather(-1, right)
    high = above < 0.5
    # Of all completions with this reward, p(y) of which is y's: at least that, which a sum may have swallowed.
    tied = torch.where(high, tail.gather(-1, left) - above, upto - mass.gather(-1, left))
    tied = torch.maximum(tied, log_p.exp()).clamp(min=torch.finfo(log_p.dtype).tiny)
    log_upto = torch.where(high, torch.log1p(-above.clamp(max=0.5)), upto.clamp(max=1).log())
    lower = torch.log1p(-(tied / upto).clamp(max=1)) * n  # log (F(y-) / F(y))^n
    chosen = n * log_upto + torch.where(lower.isinf(), 0.0, log1mexp(lower))
    return chosen + log_p - tied.log()


def kl_bound(n: Tensor | float) -> Tensor:
    """log n - (n - 1) / n, the usual formula."""
    n = torch.as_tensor(n, dtype=torch.float64)
    return n.log() - (n - 1) / n


def kl_estimate(selected_log_p: Float[Tensor, "*b"], n: Tensor | float) -> Float[Tensor, "*b"]:
    """The better estimate, from the probability e of the selected completion under the policy that is chosen from.

        (1 - e)^n (log n + (n - 1) log(1 - e) - (n - 1) / n) + (1 - (1 - e)^n) log((1 - (1 - e)^n) / e)

    Its mean over selections is the estimate; for e -> 0 the usual formula, for e = 1 zero.
    """
    log_rest = log1mexp(selected_log_p)  # log(1 - e), finite at e = 1
    nobody = (n * log_rest).exp()
    hit = log1mexp(n * log_rest)  # log(1 - (1 - e)^n)
    n = torch.as_tensor(n, dtype=selected_log_p.dtype, device=selected_log_p.device)
    return nobody * (n.log() + (n - 1) * log_rest - (n - 1) / n) + hit.exp() * (hit - selected_log_p)


class Curve(NamedTuple):
    """kl, reward [*] of best-of-n for growing n, from n = 1; means over the prompts."""

    kl: Tensor
    reward: Tensor


def best_of_n_curve(
    log_p: Float[Tensor, "P Y"], rewards: Float[Tensor, "P Y"], *, most: float = 1e6, points: int = 120
) -> Curve:
    found = []
    for n in torch.logspace(0, math.log10(most), points, dtype=torch.float64).tolist():
        chosen = best_of_n(log_p, rewards, n)
        p = chosen.exp()
        kl = torch.where(p > 0, p * (chosen - log_p), 0.0).sum(-1).mean()
        found.append(torch.stack([kl, (p * rewards).sum(-1).mean()]))
    kl, reward = torch.stack(found, 1)
    return Curve(kl, reward)
