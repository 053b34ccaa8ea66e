"""Sequence transport: the cost of moving what the model says onto the reference, token embeddings onto embeddings.

    l = weight sum_ij P_ij C_ij     C_ij = 1 - cos(s_i, e(y_j))     s_i = sum_c softmax(logits_i / temperature)_c e_c
    P moves equal weights at the places i onto equal weights at the places j; of all plans that do, about the cheapest:
    P, sigma = 1, 1 / n;  iterations times: Q = exp(-C / step) P, delta = 1 / (n Q sigma), sigma = 1 / (n Q' delta),
    P = diag(delta) Q diag(sigma)

logits            [B, T, C] unnormalised scores     targets  [B, T] class indices y     mask  [B, T] n places that count
token_embeddings  [C, D] e
weight        >= 0
temperature   > 0; the smaller, the nearer s_i is to the embedding of the likeliest token
step          > 0, beta of the proximal iterations
iterations    >= 1; the plan becomes the cheapest as they grow
Returns   [B] penalty per example; 0 where nothing counts
Numerics  no gradient through the plan: where it is the cheapest, its change is worth nothing (the envelope theorem)
Paper     Chen et al. 2019, arXiv:1901.06283; weight = 0.1, step = 0.5 and 50 iterations are of the authors' code, the
          temperature is our choice; the iterations: Xie et al. 2018, arXiv:1802.04307
Differs   the authors' code lets gradients flow through the iterations. The tokens before are the reference's, as in
          likelihood. The paper's second use, a transport between source and output, is not here
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.ops import normalize, stopgrad


def sequence_transport(
    logits: Float[Tensor, "B T C"],
    targets: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    token_embeddings: Float[Tensor, "C D"],
    *,
    weight: Annotated[float, Ge(0)] = 0.1,
    temperature: Annotated[float, Gt(0)] = 0.5,
    step: Annotated[float, Gt(0)] = 0.5,
    iterations: Annotated[int, Ge(1)] = 50,
) -> Float[Tensor, "B"]:
    scores = torch.where(mask.unsqueeze(-1), logits, 0.0)  # masked places may hold anything
    said = normalize((scores / temperature).softmax(-1) @ token_embeddings)
    cost = 1 - said @ normalize(token_embeddings)[targets].mT
    both = mask.unsqueeze(-1) & mask.unsqueeze(-2)
    plan = _transport_plan(stopgrad(cost), both, step, iterations)
    return weight * torch.where(both, plan * cost, 0.0).sum((-1, -2))


def _transport_plan(
    cost: Float[Tensor, "B T U"], both: Bool[Tensor, "B T U"], step: float | Tensor, iterations: int
) -> Float[Tensor, "B T U"]:
    """The plan between uniform weights on the rows and on the columns that count, by proximal iterations."""
    rows, columns = both.any(-1), both.any(-2)
    row_number, column_number = (side.sum(-1, keepdim=True).clamp(min=1).to(cost.dtype) for side in (rows, columns))
    kernel = torch.where(both, (-cost / step).exp(), 0.0)
    plan = both.to(cost.dtype)
    sigma = torch.where(columns, 1 / column_number, 0.0)
    for _ in range(iterations):
        moved = kernel * plan
        delta = _inverse(row_number * (moved @ sigma.unsqueeze(-1)).squeeze(-1), rows)
        sigma = _inverse(column_number * (moved.mT @ delta.unsqueeze(-1)).squeeze(-1), columns)
        plan = delta.unsqueeze(-1) * moved * sigma.unsqueeze(-2)
    return plan


def _inverse(values: Tensor, there: Tensor) -> Tensor:
    return torch.where(there, 1 / torch.where(there, values, 1.0), 0.0)
