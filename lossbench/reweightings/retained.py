"""Retained: what is to be forgotten has no weight. With any loss this is fine-tuning on the retain set.

    w_i = N / |retain set| for its members, 0 for others

retain_weights  [B] the same
Returns   [B] weight per example; over the training set the mean of w_i l_i is the mean loss of the retain set
Numerics  none needed
Paper     the baseline that Georgiev et al. 2024, arXiv:2410.23232, and others compare with: to go on training without
          the forget set
Differs   nothing
"""

from jaxtyping import Float
from torch import Tensor


def retained(retain_weights: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
    return retain_weights
