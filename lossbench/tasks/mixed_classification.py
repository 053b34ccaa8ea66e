"""Mixed classification: classification whose losses can also see each input mixed with others of the batch.

    mixed_x = (1 - w) x_i + w x_j        j a random other place in the batch, w ~ Beta(alpha, alpha)

Batch       as in classification
mixes       >= 1: mixes of each input
alpha       > 0: near 0 almost nothing is mixed, 1 gives every weight the same probability
Metrics     as in classification
Paper       the defaults are those of RankMixup, Noh et al. 2023, arXiv:2308.11990, for CIFAR-10
Differs     every pair draws its own weight, as in augmentation=mixup; their code draws one for the whole batch
"""

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Generator, Tensor

from lossbench.augmentations.augmentation import beta, shuffled
from lossbench.datasets.dataset import Dataset
from lossbench.tasks.classification import Classification


class MixedClassification(Classification):
    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        mixes: Annotated[int, Ge(1)] = 3,
        alpha: Annotated[float, Gt(0)] = 2.0,
    ):
        super().__init__(dataset, device)
        self._mixes, self._alpha = mixes, alpha

    def mixing_partners(self, x: Tensor, generator: Generator) -> Tensor:
        return torch.stack([shuffled(x, generator) for _ in range(self._mixes)], 1)

    def mixing_weights(self, x: Tensor, generator: Generator) -> Tensor:
        return beta(self._alpha, len(x) * self._mixes, generator, x.device).view(len(x), self._mixes)

    # The next two draw nothing. With a generator they are made once, for the whole batch: the parts that it may be
    # split into do not hold the partners.

    def mixed_x(self, x: Tensor, mixing_partners: Tensor, mixing_weights: Tensor, generator: Generator) -> Tensor:
        weights = mixing_weights.to(x.dtype).view(*mixing_weights.shape, *[1] * (x.ndim - 1))
        return x.unsqueeze(1).lerp(x[mixing_partners], weights)

    def mixing_coefficients(
        self, targets: Tensor, mixing_partners: Tensor, mixing_weights: Tensor, generator: Generator
    ) -> Tensor:
        same = targets[mixing_partners] == targets.unsqueeze(1)
        return torch.where(same, 1.0, torch.maximum(mixing_weights, 1 - mixing_weights))

    def mixed_logits(self, body: Callable, head: Callable, mixed_x: Tensor) -> Tensor:
        return head(body(mixed_x.flatten(0, 1))).unflatten(0, mixed_x.shape[:2])
