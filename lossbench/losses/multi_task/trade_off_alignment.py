"""Trade-off alignment: tasks weighed by the trade-off that the model was told, and losses that point the same way.

    weighted_i = mean_v sum_q a_vq l_ivq           l the cross-entropies, a = trade_offs
    alignment = -weight mean_v cos(a_v, L_v)       L_vq = mean_i l_ivq

trade_off_logits  [B, V, Q, C] scores of Q tasks for each of V trade-offs
task_targets      [B, Q] class indices
trade_offs        [B, V, Q] weights of the tasks, each sums to 1; the same for all examples
weight            >= 0: lambda; 0 is trade_off_cross_entropy
Returns           {"weighted": [B], "alignment": []}
Paper             Ruchte and Grabocka 2021, arXiv:2103.12868 (COSMOS); weight = 2 and Dirichlet(1.2) are those of
                  its code for MultiMNIST
Differs           the paper draws one trade-off a step (task.number=1)
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor


def trade_off_alignment(
    trade_off_logits: Float[Tensor, "B V Q C"],
    task_targets: Int[Tensor, "B Q"],
    trade_offs: Float[Tensor, "B V Q"],
    *,
    weight: Annotated[float, Ge(0)] = 2.0,
) -> dict[str, Float[Tensor, "B"] | Float[Tensor, ""]]:
    wanted = task_targets.unsqueeze(1).expand(trade_off_logits.shape[:-1])
    losses = -trade_off_logits.log_softmax(-1).gather(-1, wanted.unsqueeze(-1)).squeeze(-1)  # [B, V, Q]
    cosines = torch.cosine_similarity(trade_offs[0].to(losses.dtype), losses.mean(0), dim=-1)
    return {"weighted": (trade_offs * losses).sum(-1).mean(-1), "alignment": -weight * cosines.mean()}
