"""Direct coverage optimisation (DCO): -log of the probability that one of N sampled answers is the right one.

    l_i = -log(1 - (1 - p_i)^N)        p_i = prod_t softmax(logits_it)[y_it] over the tokens that count

    gradient   F times that of -log p_i,  F = N p (1 - p)^(N - 1) / (1 - (1 - p)^N): 1 for N p << 1, 0 for N p >> 1, so
               that an answer which N samples would find anyway is not made any likelier

logits    [B, T, C] unnormalised scores             targets   [B, T] class indices y
mask      [B, T] true where a token is part of the answer
samples   >= 1 (the paper's N); 1 is the negative log-likelihood of the whole answer
Returns   [B] loss per sequence
Numerics  from log p alone, with log(1 - exp(.)) twice; where N p underflows it is -log p - log N
Paper     Chen et al. 2025, arXiv:2502.07154
Differs   nothing; the authors' code multiplies -log p by F without gradient, which has the same gradient and another
          value
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.ops import log1mexp, true_class_log_p

NEGLIGIBLE = -30.0  # log(N p), below which N p / 2 is less than rounding


def direct_coverage(
    logits: Float[Tensor, "B T C"],
    targets: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    samples: Annotated[float, Ge(1)] = 16.0,
) -> Float[Tensor, "B"]:
    log_p = torch.where(mask, true_class_log_p(logits, targets), 0.0).sum(-1)
    log_samples = torch.as_tensor(samples, dtype=log_p.dtype, device=log_p.device).log()
    small = log_p + log_samples < NEGLIGIBLE
    # The branch that is not taken gets a harmless argument: where() would pass its infinite gradient on as NaN.
    likely = torch.where(small, NEGLIGIBLE, log_p)
    return -torch.where(small, log_p + log_samples, log1mexp(samples * log1mexp(likely)))
