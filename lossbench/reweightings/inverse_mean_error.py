"""Inverse mean error: the gradient over the mean probability of a wrong class, so that it keeps its length.

    w_i = 1 / mean_j (1 - p_j)          p_j = softmax(logits_j)[targets_j], the mean over the batch

    Under cross_entropy, with plain gradient descent on the whole training set as one batch and two classes, it is
    Normalized LR+GD: the step gamma beta_t grad f with beta_t = (mean_j sigmoid(-margin_j))^-1, and for large gamma
    the batch perceptron that divides by the number of errors.

logits    [*, C] unnormalised scores            targets   [*] class indices
Returns   [*] weight of each element, all equal
Numerics  1 - p from the log-probabilities of the other classes; the mean is at least the rounding of p, where logits
          of the dtype have no error left to divide by
Paper     Tyurin 2024, arXiv:2412.08424, section 6
Differs   nothing for two classes and the whole training set; more classes and mini-batches are an extension
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot


def inverse_mean_error(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    others = 1 - one_hot(targets, logits.shape[-1], logits.dtype)
    error = (logits.softmax(-1) * others).sum(-1)
    return (1 / error.mean().clamp(min=torch.finfo(logits.dtype).eps)).expand(error.shape)
