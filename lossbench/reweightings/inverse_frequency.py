"""Inverse frequency: each class weighs the inverse of its number of training examples, or a power of it.

    w_c = n_c^-power        then divided by the mean; 1 for every class while progress < start

targets        [*] class indices            class_counts   [C] training examples n of each class
progress       [] part of the training budget that is spent
power          >= 0: 0 is no reweighting, 1 the inverse frequency, 0.5 its square root
normalization  what the weights have mean 1 over: the training examples (the loss keeps its scale: with power 1, every
               class then has the same share of it) or the classes
start          in [0, 1]: part of the training budget without reweighting; above 0 the reweighting is deferred
Returns   [*] weight of each example
Paper     none: common practice, "balanced" in scikit-learn's compute_class_weight (power 1, normalization examples)
Differs   nothing
"""

from typing import Annotated

from annotated_types import Ge, Interval
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.reweightings.class_weights import Normalization, of_examples


def inverse_frequency(
    targets: Int[Tensor, "*b"],
    class_counts: Float[Tensor, "C"],
    progress: Float[Tensor, ""],
    *,
    power: Annotated[float, Ge(0)] = 1.0,
    normalization: Normalization = "examples",
    start: Annotated[float, Interval(ge=0, le=1)] = 0.0,
) -> Float[Tensor, "*b"]:
    return of_examples(class_counts**-power, targets, class_counts, progress, normalization, start)
