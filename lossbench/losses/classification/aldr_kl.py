"""ALDR-KL: a soft maximum over the class margins, with a temperature of its own for every example.

    l_i = lambda_i log( 1/C sum_c exp(d_ic / lambda_i) ) - alpha log C / (2 lambda_0) (lambda_i - lambda_0)^2
    d_ic = f_ic - f_i[y_i] + margin 1[c != y_i]        f_i = logits_i / mean_c |logits_ic|
    lambda_i = lambda_0 (1 - KL(p_i || 1/C) / (alpha log C))        p_i = softmax(f_i / lambda_i'), without gradient

An example of which the model is certain gets a small lambda (a hinge, as for a clean label), one of which it is not a
large one (near the mean margin, which is robust to wrong labels). The fixed lambda_0 is LDR-KL: alpha to infinity.

logits    [B, C] unnormalised scores            targets   [B] class indices y, some of them perhaps wrong
ids       [B] each example's index in the training set, no two the same in a batch
state     {"ratio": [N]} lambda' / lambda_0 of every training example, 1 at first; those of the batch are replaced
temperature   > 0, the paper's lambda_0
alpha     > 1: how far lambda stays from lambda_0; it lies in [(1 - 1/alpha) lambda_0, lambda_0]
margin    >= 0, the paper's c
normalize whether logits are divided by their mean absolute value; with false, temperature 1 and margin 0, LDR-KL is
          cross_entropy - log C
Returns   [B] loss per example, and the new state; it may be negative
Numerics  log-sum-exp; logits that are all 0 are not divided
Paper     Zhu et al. 2023, arXiv:2112.14869; alpha = 2, margin = 0.1 and lambda_0 of 0.1, 1 or 10 are their code's
Differs   the authors' code adds 1e-5 to p before the divergence, and gives NaN for logits that are all 0
"""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot, stopgrad


def init_state(*, num_examples: int, device: torch.device | None = None) -> dict[str, Tensor]:
    return {"ratio": torch.ones(num_examples, device=device)}


def aldr_kl(
    logits: Float[Tensor, "B C"],
    targets: Int[Tensor, "B"],
    ids: Int[Tensor, "B"],
    state: dict[str, Tensor],
    *,
    temperature: Annotated[float, Gt(0)] = 1.0,
    alpha: Annotated[float, Gt(1)] = 2.0,
    margin: Annotated[float, Ge(0)] = 0.1,
    normalize: bool = True,
) -> tuple[Float[Tensor, "B"], dict[str, Tensor]]:
    classes = logits.shape[-1]
    largest = math.log(classes)  # of the divergence from the uniform distribution
    scores = logits
    if normalize:
        size = logits.abs().mean(-1, keepdim=True)
        scores = logits / torch.where(size == 0, 1, size)
    log_p = (scores / (temperature * state["ratio"][ids].unsqueeze(-1))).log_softmax(-1)
    divergence = (log_p.exp() * log_p).sum(-1) + largest
    ratio = stopgrad(1 - divergence / (alpha * largest))
    own = temperature * ratio
    others = 1 - one_hot(targets, classes, scores.dtype)
    margins = scores - scores.gather(-1, targets.unsqueeze(-1)) + margin * others
    soft_maximum = own * ((margins / own.unsqueeze(-1)).logsumexp(-1) - largest)
    loss = soft_maximum - alpha * largest * temperature / 2 * (ratio - 1).square()
    return loss, {"ratio": state["ratio"].index_put((ids,), ratio.to(state["ratio"].dtype))}
