"""Batch-binding: the supervised contrastive loss of the batch together with fixed examples, the same in every batch.

    l = mean over the examples of batch and fixed set of supervised_contrastive

The fixed ones bind the batches together: every class meets every other one, and its own fixed examples, in each step.

embeddings         [B, D], normalised here        targets         [B] class indices
bound_embeddings   [F, D] of the fixed examples   bound_targets   [F] their class indices; task.bound of each class
temperature        > 0
Returns   [] one value for the batch; it does not add over micro-batches
Numerics  those of supervised_contrastive
Paper     Kini et al. 2023, arXiv:2306.07960; temperature = 0.1
Differs   the authors' code takes the fixed examples through the augmentations, too
"""

from typing import Annotated

import torch
from annotated_types import Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.losses.representation.supervised_contrastive import supervised_contrastive


def batch_binding(
    embeddings: Float[Tensor, "B D"],
    targets: Int[Tensor, "B"],
    bound_embeddings: Float[Tensor, "F D"],
    bound_targets: Int[Tensor, "F"],
    *,
    temperature: Annotated[float, Gt(0)] = 0.1,
) -> Float[Tensor, ""]:
    together = torch.cat([embeddings, bound_embeddings])
    classes = torch.cat([targets, bound_targets])
    return supervised_contrastive(together, classes, temperature=temperature).mean()
