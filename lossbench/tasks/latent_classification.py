"""Classification through a Gaussian: the model maps each input to a distribution, and its head reads draws from it.

Batch       as in classification; the model is stochastic_mlp
latent_size         axes of the Gaussian: the model's
samples             draws an example in training
evaluation_samples  draws in evaluation: the same numbers for every example, every evaluation and every run. The logits
                    are then the logarithm of the mean probabilities
Metrics     those of classification
"""

import math
from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.tasks.classification import Classification


class LatentClassification(Classification):
    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        latent_size: Annotated[int, Ge(1)],
        samples: Annotated[int, Ge(1)] = 1,
        evaluation_samples: Annotated[int, Ge(1)] = 12,
    ):
        super().__init__(dataset, device)
        self._shape = samples, latent_size
        fixed = torch.randn(evaluation_samples, latent_size, generator=Generator().manual_seed(0))
        self._fixed_noise = fixed.to(device)

    def latent_mean(self, features: Tensor) -> Tensor:
        return features[..., : self._shape[1]]

    def latent_scale(self, features: Tensor) -> Tensor:
        return features[..., self._shape[1] :]

    def latent_noise(self, x: Tensor, generator: Generator) -> Tensor:
        return torch.randn(len(x), *self._shape, generator=generator, device=x.device, dtype=x.dtype)

    def sampled_logits(  # type: ignore[override]  # parameters name what is needed
        self, head: Callable, latent_mean: Tensor, latent_scale: Tensor, latent_noise: Tensor
    ) -> Tensor:
        return head(latent_mean.unsqueeze(-2) + latent_scale.unsqueeze(-2) * latent_noise)

    def logits(self, head: Callable, latent_mean: Tensor, latent_scale: Tensor) -> Tensor:  # type: ignore[override]
        draws = head(latent_mean.unsqueeze(-2) + latent_scale.unsqueeze(-2) * self._fixed_noise)
        return draws.log_softmax(-1).logsumexp(-2) - math.log(draws.shape[-2])
