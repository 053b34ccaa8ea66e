"""Likelihood-ratio alignment: ties thresholds to the unknown ratio of the tested to the training density (LR-QR).

    l_i = weight (scale^2 u_i^2 - 2 scale v_i)        u = unlabeled_thresholds, v = shifted_thresholds

With the ratio r, E[r u] over the training distribution is E[v], so that the mean of l is weight times the mean of
(scale u - r)^2 - r^2: it is lowest where the scaled threshold is r, which nobody has to estimate. Thresholds that
minimise a quantile loss cover rightly under every shift whose ratio is in their family; this draws them towards it.

unlabeled_thresholds  [B] thresholds of inputs of the training distribution
shifted_thresholds  [B] thresholds of inputs of the distribution that is tested on
params    {"scale": []}, learned along, from 1 on
weight    >= 0; 0 is no penalty
Returns   [B] penalty per pair of inputs; it can be negative
Numerics  as it stands
Paper     Joshi et al. 2025, arXiv:2502.13030, algorithm 1: with loss=conformal_pinball, weight is its lambda
Differs   the paper solves for all data at once; here batches of each of the three samples make a step. It takes lambda
          by cross-validation between a tenth of n1^(-1/3) (1/n2 + 1/n3)^(-1/3), up to a constant, and all of it
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor


def init_params() -> dict[str, Tensor]:
    return {"scale": torch.ones(())}


def likelihood_ratio_alignment(
    unlabeled_thresholds: Float[Tensor, "B"],
    shifted_thresholds: Float[Tensor, "B"],
    params: dict[str, Tensor],
    *,
    weight: Annotated[float, Ge(0)] = 0.1,
) -> Float[Tensor, "B"]:
    scale = params["scale"]
    return weight * ((scale * unlabeled_thresholds).square() - 2 * scale * shifted_thresholds)
