"""Supernet: classification by one set of weights that is to work at many sizes of the model.

In every step the whole model is trained and, by its own answers, some of its sub-networks: ``samples`` random ones and
the smallest (the sandwich rule). A sub-network has of each layer a share of the units, drawn for each layer by itself.

Batch       as in classification; wants model=elastic_mlp
samples     random sub-networks of a step, one set for the whole batch
smallest    in (0, 1]: least share of the units of a layer
Metrics     as in classification, of the whole model, and subnet_accuracy, which selects: the mean over sub-networks of
            the same share in all layers, from smallest to 1 in 4 equal steps. smallest_accuracy is that of the first
"""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Interval
from torch import Generator, Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.classification import Classification

MOST_LAYERS = 32
SIZES = 5


class Supernet(Classification):
    selection = ("subnet_accuracy", "higher")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        samples: Annotated[int, Ge(0)] = 2,
        smallest: Annotated[float, Interval(gt=0, le=1)] = 0.125,
    ):
        super().__init__(dataset, device)
        self._samples, self._smallest = samples, smallest
        self._least = torch.full((1, MOST_LAYERS), smallest, device=device)
        self._sizes = torch.linspace(smallest, 1, SIZES, device=device).unsqueeze(1).expand(-1, MOST_LAYERS)

    def sampled_shares(self, x: Tensor, generator: Generator) -> Tensor:
        drawn = torch.rand((self._samples, MOST_LAYERS), generator=generator, device=x.device)
        return self._smallest + (1 - self._smallest) * drawn

    def subnet_logits(self, body: Callable, head: Callable, x: Tensor, sampled_shares: Tensor) -> Tensor:
        return _of_subnets(body, head, x, torch.cat([sampled_shares, self._least]))

    def size_logits(self, body: Callable, head: Callable, x: Tensor) -> Tensor:
        return _of_subnets(body, head, x, self._sizes)

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self, logits: Tensor, targets: Tensor, size_logits: Tensor
    ) -> dict[str, Tensor]:
        right = (size_logits.argmax(-1) == targets.unsqueeze(-1)).double()
        return {
            **super().metrics(logits, targets),
            "subnet_accuracy": right.mean(),
            "smallest_accuracy": right[:, 0].mean(),
        }


def _of_subnets(body: Any, head: Callable, x: Tensor, shares: Tensor) -> Tensor:
    """[B, S, C] for shares [S, layers]."""
    if isinstance(body, nn.Module) and not hasattr(body, "layers"):
        raise UsageError("model: task=supernet cuts the layers of the model, which this one has no way to. "
                         "Choose model=elastic_mlp.")  # fmt: skip
    return torch.stack([head(body((x, own))) for own in shares], 1)
