"""Length extremes (LSPO): the prompts whose completions are on average the shortest, or the longest, count.

    w_i = n / n_kept where L <= Q(shortest), or Q(longest) <= L <= Q(cut), otherwise 0
    L   mean length of the completions of the prompt        Q(a) = min {t : part of the prompts with L <= t is >= a}

Prompts whose completions all have the same reward are dropped before, and the quantiles are of those that are left. n
counts completions, or their tokens, so that the mean is the one over what is kept.

rewards   [B, R] of the R completions of each prompt        completion_lengths  [B, R] their tokens
shortest, longest, cut   in [0, 1]: up to which quantile a prompt counts as short, and between which two as long. With
          shortest >= longest and cut = 1 it is informative_prompts; cut = 1 keeps what had to be cut off, too
per       what the reduction takes its mean over. tokens: token_mean; completions: sequence_mean, fixed_length_mean
Returns   [B R] weight of each completion; a batch in which nothing is kept has weight 0 everywhere
Numerics  parts of n prompts are compared with a tolerance of 1e-6 / n
Paper     Chen, Koenig and Dilkina 2025, arXiv:2510.01459. The filter and 0.3, 0.65 and 0.95 are known from summaries of
          it that agree, not from its text
Differs   the paper samples further prompts until the batch is full of such as count; here a batch has fewer of them
"""

from typing import Annotated

from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from lossbench.reweightings.kept_prompts import Per, informative, of_prompts

Part = Annotated[float, Interval(ge=0, le=1)]
SMALL = 1e-6


def length_extremes(
    rewards: Float[Tensor, "B R"],
    completion_lengths: Float[Tensor, "B R"],
    *,
    shortest: Part = 0.3,
    longest: Part = 0.65,
    cut: Part = 0.95,
    per: Per = "tokens",
) -> Float[Tensor, "B*R"]:
    left, lengths = informative(rewards), completion_lengths.mean(-1)
    number = left.sum()
    shorter = (left & (lengths < lengths.unsqueeze(-1))).sum(-1)  # [B] of those that are left, than each prompt
    not_longer = (left & (lengths <= lengths.unsqueeze(-1))).sum(-1)

    def at_most(part: float) -> Tensor:
        return shorter < part * number - SMALL  # L <= Q(part)

    is_long = (not_longer >= longest * number - SMALL) & at_most(cut)
    return of_prompts(left & (at_most(shortest) | is_long), completion_lengths, per)
