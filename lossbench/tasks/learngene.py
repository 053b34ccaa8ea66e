"""Learngene: classification by a vision transformer whose blocks begin as what a smaller set of weights makes of them.

Batch       as in classification; wants model=vit
learngene   a trained model=expanded_vit, from which blocks of any depth are made, or model=vit, whose blocks are
            repeated: {train: [overrides]}, or the folder of a finished run. All but the depth as in this run
depth       of the model that is trained: ${model.depth}
Metrics     as in classification
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.models.expanded_vit import with_depth
from lossbench.tasks.classification import Classification


class Learngene(Classification):
    def __init__(self, dataset: Dataset, device: torch.device, *, learngene: nn.Module, depth: Annotated[int, Ge(1)]):
        super().__init__(dataset, device)
        if not hasattr(learngene.body, "blocks"):
            raise UsageError(
                "task.learngene has no blocks to make others of. Give a run of model=expanded_vit or model=vit."
            )
        self.start = with_depth(learngene, depth)  # what the trained model begins as: the engine copies it
