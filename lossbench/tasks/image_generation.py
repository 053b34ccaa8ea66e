"""Image generation: language modelling of the pixels of images, behind a token that names the class.

Batch       as in language_modeling; the targets of a sequence are all pixels of its image, row by row: digit_tokens
encoder     frozen image classifier, whose features say how alike images are: {train: [overrides]} on dataset=digits, or
            the folder of a finished run
Metrics     as in language_modeling, and frechet_distance between the features of the images of a split and those of as
            many samples, one for the class of each; see lossbench/metrics/generation.py. The samples of a model are the
            same whenever it is measured
"""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.language_modeling import LanguageModeling
from lossbench.tasks.rollouts import continued


class ImageGeneration(LanguageModeling):
    def __init__(self, dataset: Dataset, device: torch.device, *, encoder: nn.Module):
        super().__init__(dataset, device)
        side = math.isqrt(dataset.input_shape[0])
        self._shape = (1, side, side)
        self._mean, self._std = (None if t is None else t.to(device) for t in (dataset.mean, dataset.std))
        self._encoder = cast(nn.Module, encoder.requires_grad_(False).eval().to(device).body)
        try:
            self.image_features(torch.zeros((1, *dataset.input_shape), dtype=torch.long, device=device))
        except RuntimeError:
            raise UsageError(
                f"task.encoder cannot read images {list(self._shape)} made of {dataset.input_shape[0]} tokens. "
                "Choose dataset=digit_tokens with an encoder that was trained on dataset=digits."
            ) from None

    def image_features(self, targets: Tensor) -> Tensor:
        """Of the images [B, pixels] that are to be written; without gradient."""
        images = targets.view(-1, *self._shape).float()
        images = images if self._mean is None else images - self._mean
        with torch.no_grad():
            return self._encoder(images if self._std is None else images / self._std)

    def sample_features(self, body: Any, head: Callable, x: Tensor) -> Tensor:
        uniforms = torch.rand((len(x), x.shape[1] + 1), generator=torch.Generator().manual_seed(0)).to(x.device)
        made = continued(body, lambda features: self.logits(head, features), x[:, :1], uniforms)
        return self.image_features(made[:, 1:])

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        target_log_p: Tensor,
        confidence: Tensor,
        correct: Tensor,
        predictive_entropy: Tensor,
        targets: Tensor,
        mask: Tensor,
        image_features: Tensor,
        sample_features: Tensor,
        predicted: Tensor | None = None,
    ) -> dict[str, Tensor]:
        from lossbench.metrics.generation import frechet_distance

        values = super().metrics(target_log_p, confidence, correct, predictive_entropy, targets, mask, predicted)
        return {**values, "frechet_distance": frechet_distance(sample_features, image_features)}
