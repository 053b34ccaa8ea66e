"""Class-balanced: each class weighs the inverse of its effective number of training examples.

    w_c = (1 - beta) / (1 - beta^n_c)        then divided by the mean; 1 for every class while progress < start

targets        [*] class indices            class_counts   [C] training examples n of each class
progress       [] part of the training budget that is spent
beta           in [0, 1): 0 is no reweighting; towards 1 it becomes inverse_frequency
normalization  what the weights have mean 1 over. classes: their sum is C, as in the paper; the loss, and the steps, are
               then smaller than without weights, as most examples are of large classes. examples: the mean over the
               training set is 1, what torch's cross_entropy with weights, a weighted mean, has in expectation
start          in [0, 1]: part of the training budget without reweighting; 0 is reweighting from the beginning, 0.8 the
               deferred reweighting (DRW) of Cao et al. 2019, arXiv:1906.07413: epoch 160 of 200
Returns   [*] weight of each example
Numerics  powers by exp(n log beta), differences by expm1: beta^n near 1 would cancel
Paper     Cui et al. 2019, arXiv:1901.05555; beta = 0.9999 is one of the values that it tries, and that of DRW
Differs   nothing; DRW divides by the summed weights of each batch (torch's cross_entropy with weights), here by their
          expectation (normalization=examples)
"""

from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.reweightings.class_weights import Normalization, of_examples


def class_balanced(
    targets: Int[Tensor, "*b"],
    class_counts: Float[Tensor, "C"],
    progress: Float[Tensor, ""],
    *,
    beta: Annotated[float, Interval(ge=0, lt=1)] = 0.9999,
    normalization: Normalization = "classes",
    start: Annotated[float, Interval(ge=0, le=1)] = 0.0,
) -> Float[Tensor, "*b"]:
    log_beta = (beta * torch.ones_like(class_counts)).log()  # -inf for beta = 0, whose powers are 0
    weights = -1 / torch.expm1(class_counts * log_beta)  # 1 - beta is the same for all
    return of_examples(weights, targets, class_counts, progress, normalization, start)
