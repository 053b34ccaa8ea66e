"""Informative prompts: those whose completions all have the same reward do not count.

    w_i = n / n_kept for the completions of a prompt with different rewards, otherwise 0

with n the completions of the batch, or their tokens, so that the mean is the one over what is kept: equal rewards say
nothing of which completion is better. The dynamic sampling of DAPO, without the sampling.

rewards   [B, R] of the R completions of each prompt        completion_lengths  [B, R] their tokens
per       what the reduction takes its mean over. tokens: token_mean; completions: sequence_mean, fixed_length_mean
Returns   [B R] weight of each completion; a batch in which nothing is kept has weight 0 everywhere
Numerics  rewards are compared exactly: they come from a verifier
Paper     Yu et al. 2025 (DAPO), arXiv:2503.14476, the condition 0 < #(right completions) < G on its objective
Differs   the paper samples further prompts until the batch is full of such as count; here a batch has fewer of them
"""

from jaxtyping import Float
from torch import Tensor

from lossbench.reweightings.kept_prompts import Per, informative, of_prompts


def informative_prompts(
    rewards: Float[Tensor, "B R"], completion_lengths: Float[Tensor, "B R"], *, per: Per = "tokens"
) -> Float[Tensor, "B*R"]:
    return of_prompts(informative(rewards), completion_lengths, per)
