"""Variational information bottleneck (VIB): cross-entropy over draws of a stochastic encoder, and what the draws tell.

    cross_entropy  1 / S sum_s -log softmax(sampled_logits_is)[y_i]
    rate           weight KL(N(m_i, diag(s_i)^2) || N(0, 1)) = weight / 2 sum_k (m_ik^2 + s_ik^2 - 1 - 2 log s_ik)

sampled_logits  [B, S, C] scores under each draw from the Gaussian         targets   [B] class indices y
latent_mean, latent_scale  [B, D] mean m and standard deviations s > 0 of the Gaussian
weight    >= 0 (the paper's beta); 0 is sampled_cross_entropy, the empirical risk of a stochastic encoder
Returns   {"cross_entropy": [B], "rate": [B]}
Numerics  the logarithm of s is taken above the smallest number of the dtype
Paper     Alemi et al. 2020, arXiv:2011.08711, which derives the objective of Alemi et al. 2017, arXiv:1612.00410, as
          half of the Bayesian one; weight = 1e-3 is among the values of the latter
Differs   the prior is fixed, N(0, 1), while the papers allow a learned one
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.losses.classification.sampled_cross_entropy import sampled_cross_entropy


def variational_bottleneck(
    sampled_logits: Float[Tensor, "B S C"],
    targets: Int[Tensor, "B"],
    latent_mean: Float[Tensor, "B D"],
    latent_scale: Float[Tensor, "B D"],
    *,
    weight: Annotated[float, Ge(0)] = 1e-3,
) -> dict[str, Float[Tensor, "B"]]:
    log_scale = latent_scale.clamp(min=torch.finfo(latent_scale.dtype).tiny).log()
    divergence = (latent_mean.square() + latent_scale.square() - 1 - 2 * log_scale).sum(-1) / 2
    return {"cross_entropy": sampled_cross_entropy(sampled_logits, targets), "rate": weight * divergence}
