"""Metrics of completions that a verifier has judged.

Means are float64 (float32 on MPS). Nothing waits for the device. What is not finite makes every metric NaN.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.metrics.ranking import nan_unless, precise


def verification_metrics(
    rewards: Float[Tensor, "N S"],
    lengths: Int[Tensor, "N S"],
    finished: Bool[Tensor, "N S"],
    entropies: Float[Tensor, "N S"],
    kl: Float[Tensor, "N S"],
) -> dict[str, Float[Tensor, ""]]:
    """reward, pass_at_<k>   see reward_metrics
    length       mean number of tokens, the end token included; finished: part of the completions that have one
    entropy      of the policy over the next token, in nats, mean over all tokens
    kl           KL(policy || reference) of a completion, in nats

    rewards      in [0, 1]; 1 is solved
    entropies    sums over the tokens of a completion, as kl
    """
    entropies, kl = precise(entropies), precise(kl)
    values = {
        **reward_metrics(rewards),
        "length": precise(lengths).mean(),
        "finished": precise(finished).mean(),
        "entropy": entropies.sum() / lengths.sum().clamp(min=1),
        "kl": kl.mean(),
    }
    return nan_unless(entropies.isfinite().all() & kl.isfinite().all(), values)


def reward_metrics(rewards: Float[Tensor, "N S"]) -> dict[str, Float[Tensor, ""]]:
    """reward       mean over prompts and completions
    pass_at_<k>  probability that one of k completions of a prompt is solved, for k = 1, 2, 4 ... up to S; see pass_at
    """
    rewards, number = precise(rewards), rewards.shape[1]
    solved = (rewards >= 1).sum(1)
    tries = [2**i for i in range(number.bit_length()) if 2**i <= number]
    return {"reward": rewards.mean(), **{f"pass_at_{k}": pass_at(k, solved, number).mean() for k in tries}}


def pass_at(k: int, solved: Int[Tensor, "N"], number: int) -> Float[Tensor, "N"]:
    """Probability that k of the completions, drawn without putting back, have a solved one among them: an unbiased
    estimate of the probability that one of k new ones is solved.

        1 - C(n - c, k) / C(n, k) = 1 - prod_{i=n-c+1}^{n} (1 - k / i)

    solved   c, how many of the ``number`` n completions of each prompt are solved        1 <= k <= n
    Source   Chen et al. 2021, arXiv:2107.03374, eq. 1
    """
    places = torch.arange(1, number + 1, device=solved.device)
    factors = (1 - k / precise(places)).clamp(min=0)  # i < k is where fewer than k are left: no way to miss
    used = places > number - solved.unsqueeze(1)
    return 1 - torch.where(used, factors, 1.0).prod(1)
