"""Center: cross-entropy plus the squared distance of the features to a learned centre of their class.

    cross_entropy   -log softmax(logits_i)[y_i]
    center          weight / 2 |features_i - centers[y_i]|^2

features  [*, D] input of the model's head      logits    [*, C] unnormalised scores
targets   [*] class indices y                   params    {"centers": [C, D]}, learned
weight    >= 0 (the paper's lambda); 0 is cross_entropy, and leaves the centres where they began
Returns   {"cross_entropy": [*], "center": [*]}
Numerics  plain differences; no norm, hence no singular gradient at a centre
Paper     Wen et al. 2016, A discriminative feature learning approach for deep face recognition, eq. 2 and 5; weight =
          0.003
Differs   how the centres learn. The paper moves each by a rule of its own (eq. 4): a step alpha towards the mean of its
          class's features in the batch, with n / (1 + n) of it for n examples, whatever lambda is. Here the run's
          optimizer follows the gradient of the loss: steps scale with the learning rate, with weight and with the
          class's share of the batch (unless the optimizer is adaptive), and its momentum and weight decay apply. With
          plain SGD and a small weight the centres move far slower than the paper's. Also, the paper sums over the
          batch; here the reduction divides. The centres begin at standard normal values over sqrt(D), so at norm about
          1
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lossbench.ops import true_class_log_p


def init_params(*, num_outputs: int, num_features: int, generator: Generator) -> dict[str, Tensor]:
    return {"centers": torch.randn(num_outputs, num_features, generator=generator) / num_features**0.5}


def center(
    features: Float[Tensor, "*b D"],
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    params: dict[str, Tensor],
    *,
    weight: Annotated[float, Ge(0)] = 0.003,
) -> dict[str, Float[Tensor, "*b"]]:
    distances = (features - params["centers"][targets]).square().sum(-1)
    return {"cross_entropy": -true_class_log_p(logits, targets), "center": weight / 2 * distances}
