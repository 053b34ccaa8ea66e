"""Likelihood ratio: each example weighs as much as its input is more likely where it is tested than where it was drawn.

    w_i = r_i        r = likelihood_ratios

The mean of w_i l_i over the training distribution is then the mean of l over the tested one, where r is the true ratio.

likelihood_ratios  [*] estimated ratios of the densities, about 1 on average
Returns   [*] weight per example
Paper     Shimodaira 2000, Improving predictive inference under covariate shift by weighting the log-likelihood
          function; with one threshold for all inputs and a quantile loss: weighted conformal prediction, Tibshirani et
          al. 2019, arXiv:1904.06019
Differs   weighted conformal prediction also gives the test point a weight, at an infinite score
"""

from jaxtyping import Float
from torch import Tensor


def likelihood_ratio(likelihood_ratios: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    return likelihood_ratios
