"""Gradient ascent: the likelihood of what is to be forgotten is driven down, without a bound.

    l_i = w_i log pi(y_i | x_i)        w_i = N / |forget set| for its members, 0 for others

Alone it is gradient ascent on the loss of the forget set; with regularizer=[retain_cross_entropy] gradient difference,
with regularizer=[retain_divergence] the variant that is held near the base model.

completion_logps  [B] log pi(y | x)        forget_weights  [B] as above
Returns   [B] loss per example; its mean over all training examples is the mean of log pi over the forget set
Numerics  none needed
Paper     the baseline GA of Maini et al. 2024, arXiv:2401.06121, and of Zhang et al. 2024, arXiv:2404.05868
Differs   nothing
"""

from jaxtyping import Float
from torch import Tensor


def gradient_ascent(completion_logps: Float[Tensor, "B"], forget_weights: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
    return forget_weights * completion_logps
