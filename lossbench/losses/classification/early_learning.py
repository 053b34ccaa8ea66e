"""Early-learning regularization (ELR): cross-entropy that pulls towards what the model said about an example before.

    cross_entropy   -log p_i[y_i]                              p_i = softmax(logits_i)
    regularization  weight log(1 - <p_i, t_i>)                 t_i = beta t_i' + (1 - beta) p_i, without gradient

logits    [B, C] unnormalised scores            targets   [B] class indices y, some of them wrong
ids       [B] each example's index in the training set, no two the same in a batch
state     {"average": [N, C]} t' of every training example, 0 at first; the rows of the batch are replaced by t
beta      in [0, 1): how much of the running average is kept
weight    >= 0; 0 is cross_entropy
Returns   {"cross_entropy": [B], "regularization": [B]} and the new state; the regularization is negative
Numerics  1 - <p, t> as sum_c p[c] (1 - t[c]), the same as p sums to 1 but without cancellation, and with 1 - t[c] at
          least 1e-4: t reaches 1 exactly in floating point once an example is fitted, and the logarithm would be -inf
Paper     Liu et al. 2020, arXiv:2007.00151, section 4; beta = 0.7 and weight = 3 are theirs for CIFAR-10
Differs   the authors' code clips p itself to [1e-4, 1 - 1e-4], in the average (then renormalised) and in the loss,
          which cuts the gradient of the clipped probabilities; here the average is the paper's and the gradient is
          kept. ELR+ (averaged weights, two networks that give each other's t, mixup) is not this loss
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import stopgrad, true_class_log_p

SMALLEST_COMPLEMENT = 1e-4


def init_state(*, num_examples: int, num_outputs: int, device: torch.device | None = None) -> dict[str, Tensor]:
    return {"average": torch.zeros(num_examples, num_outputs, device=device)}


def early_learning(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    ids: Int[Tensor, "B"],
    state: dict[str, Tensor],
    *,
    beta: Annotated[float, Interval(ge=0, lt=1)] = 0.7,
    weight: Annotated[float, Ge(0)] = 3.0,
) -> tuple[dict[str, Float[Tensor, "B"]], dict[str, Tensor]]:
    p = logits.softmax(-1)
    average = beta * state["average"][ids] + (1 - beta) * stopgrad(p)
    disagreement = (p * (1 - average).clamp(min=SMALLEST_COMPLEMENT)).sum(-1)
    terms = {
        "cross_entropy": -true_class_log_p(logits, targets),
        "regularization": weight * disagreement.log(),
    }
    return terms, {"average": state["average"].index_put((ids,), average.to(state["average"].dtype))}
