"""Rationales: classification of inputs whose features are there or not, and of which a person has said what counts.

Batch       as in classification; rationales [B, X], 1 for the features that are the reason for the class, 0 for others
negatives   random rationales of an example that a loss can compare with its own: as many of its features
Metrics     as in classification; plausibility: how well the attributions find the rationale, the mean over the examples
            of the average precision. The attribution of a feature is what the logit of the true class loses without it
            (for a linear model its weight), below 0 counted as 0
Paper       negatives are a random permutation of the rationale over the words of the text, as in the code of Resck et
            al. 2024, arXiv:2404.03098, whose attributions are LIME's
"""

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.tasks.classification import Classification


class Rationales(Classification):
    batch = ("x", "targets", "ids", "rationales")  # type: ignore[assignment]

    def __init__(self, dataset: Dataset, device: torch.device, *, negatives: Annotated[int, Ge(1)] = 5):
        super().__init__(dataset, device)
        self._negatives = negatives

    def negative_rationales(self, x: Tensor, rationales: Tensor, generator: Generator) -> Tensor:
        """[B, S, X]"""
        shape = (len(x), self._negatives, x.shape[-1])
        drawn = torch.rand(shape, generator=generator, device=x.device) + (x > 0).unsqueeze(1)  # those that are there
        places = drawn.argsort(-1, descending=True).argsort(-1)
        return (places < rationales.sum(-1)[:, None, None]).to(x.dtype)

    def rationale_logits(self, forward: Callable, x: Tensor, rationales: Tensor) -> Tensor:
        return forward(x * rationales)

    def negative_rationale_logits(self, forward: Callable, x: Tensor, negative_rationales: Tensor) -> Tensor:
        return forward((x.unsqueeze(1) * negative_rationales).flatten(0, 1)).unflatten(0, negative_rationales.shape[:2])

    def attributions(self, forward: Callable, x: Tensor, targets: Tensor) -> Tensor:
        def of_true(inputs: Tensor) -> Tensor:
            return forward(inputs).gather(-1, targets.unsqueeze(-1)).squeeze(-1)

        whole, kept = of_true(x), 1 - torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        return torch.stack([whole - of_true(x * row) for row in kept], -1)

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self, logits: Tensor, targets: Tensor, x: Tensor, attributions: Tensor, rationales: Tensor
    ) -> dict[str, Tensor]:
        from lossbench.metrics.ranking import average_precision_per_row, precise, ranked

        scores = torch.where(x > 0, precise(attributions).clamp(min=0), -1.0)  # what is not there comes last
        found = average_precision_per_row(ranked(scores, rationales > 0))
        return {**super().metrics(logits, targets), "plausibility": found.nanmean()}
