"""Spectral risk: the larger losses of the batch weigh more, by their rank, as far as a penalty on the weights allows.

    objective   max_q <q, l> - B smoothing / 2 |q - 1/B|^2        q in the permutahedron of the risk's weights
    w_i = B q_i, at the maximum

On a mini-batch its gradient is a biased estimate of that of the risk of all examples; aggregation=prospect is not.

losses      [*] loss per example l
risk        superquantile, extremile or exponential; see lossbench/spectral.py
level       of the risk: superquantile 0.5 is the mean of the worse half, 0 the mean
smoothing   >= 0: nu, the shift cost; 0 is the risk itself, without end the mean
Returns     [*] weight per example
Numerics    isotonic regression on the processor, in float64
Paper       Mehta, Roulet, Pillutla and Harchaoui 2023, arXiv:2310.13863
Differs     nothing
"""

from typing import Annotated

from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor

from lossbench import spectral


def spectral_risk(
    losses: Float[Tensor, "*b"],
    *,
    risk: spectral.Risk = "superquantile",
    level: Annotated[float, Ge(0)] = 0.5,
    smoothing: Annotated[float, Ge(0)] = 1.0,
) -> Float[Tensor, "*b"]:
    sigma = spectral.spectrum(losses.numel(), risk, level)
    return (losses.numel() * spectral.spectral_weights(losses.flatten(), sigma, smoothing)).reshape(losses.shape)
