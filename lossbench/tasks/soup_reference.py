"""Soup reference: preference whose reference is the mean of the weights of several models, and not where it starts.

    theta_ref = alpha theta_1 + (1 - alpha) mean_{i > 1} theta_i

The policy starts from the first of the models; everything that is measured against the reference is against the soup.
Models that are trained from the same weights can be averaged; others, in general, can not.

Batch       as in preference
references  the models: folders, or {train: [overrides], seed_offset: n} of runs to be made first; the same model as the
            policy
alpha       weight of the first one; 1 is task=preference with that reference
Metrics     as in preference
Paper       Chegini et al. 2024 (SALSA), arXiv:2411.01798
"""

from copy import deepcopy
from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.preference import Preference


class SoupReference(Preference):
    same_model = ("references",)

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        references: list[nn.Module],
        alpha: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        gradient_pairs: Annotated[int, Ge(0)] = 16,
    ):
        if len(references) < 2:
            raise UsageError(
                "task.references is a list of two models or more. For a single one there is task=preference."
            )
        super().__init__(dataset, device, reference=_soup(references, alpha), gradient_pairs=gradient_pairs)
        self.start = references[0]


def _soup(models: list[nn.Module], alpha: float) -> nn.Module:
    made = deepcopy(models[0])
    others = [dict(model.named_parameters()) for model in models[1:]]
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            mean = torch.stack([own[name] for own in others]).mean(0)
            parameter.mul_(alpha).add_(mean, alpha=1 - alpha)
    return made
