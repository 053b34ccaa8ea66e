"""Projected cosine (t-ReX): a perceptron that is thrown away after training, then cosines to the classes' vectors.

    logits_c = cos(g(h / |h|), w_c) / temperature        g = (Linear, batch norm, GELU) layers times, Linear

Features for other tasks are taken before g. With layers = 0 it is a linear map to the cosine classifier.

layers       hidden layers, >= 0
hidden       units of each
size         numbers that g gives
temperature  > 0
Paper        Sariyildiz et al. 2023, arXiv:2206.15369; temperature = 0.1, hidden = 2048, size = 256 are the authors' for
             ResNet-50; layers = 3 is t-ReX, for transfer, layers = 1 is t-ReX*, for the classes themselves
Differs      class vectors are learned; the paper's other form makes them of the features that a momentum encoder had of
             the class (OCM), which is not here. Nor are its views, one global and eight local crops of each image:
             that is an augmentation. The linear layers before a batch norm, which would cancel them, have no biases
"""

from typing import Annotated

from annotated_types import Ge, Gt
from torch import Tensor, nn

from lossbench.heads.cosine_classifier import Cosine
from lossbench.ops import normalize


def projected_cosine(
    *,
    num_features: int,
    num_outputs: int,
    layers: Annotated[int, Ge(0)] = 3,
    hidden: Annotated[int, Ge(1)] = 2048,
    size: Annotated[int, Ge(1)] = 256,
    temperature: Annotated[float, Gt(0)] = 0.1,
) -> nn.Module:
    return ProjectedCosine(num_features, num_outputs, layers, hidden, size, temperature)


class ProjectedCosine(nn.Module):
    def __init__(self, num_features: int, num_outputs: int, layers: int, hidden: int, size: int, temperature: float):
        super().__init__()
        made: list[nn.Module] = []
        width = num_features
        for _ in range(layers):
            made += [nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.GELU()]
            width = hidden
        self.projector = nn.Sequential(*made, nn.Linear(width, size, bias=False))
        for module in self.projector:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
        self.classifier = Cosine(size, num_outputs, 1 / temperature)

    def forward(self, features: Tensor) -> Tensor:
        rows = normalize(features).flatten(0, -2)  # batch norm reads [B, D]
        return self.classifier(self.projector(rows)).unflatten(0, features.shape[:-1])
