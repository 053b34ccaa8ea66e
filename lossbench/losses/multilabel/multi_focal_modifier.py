"""Multi-focal modifier (MFM): asymmetric focusing whose exponents also grow as a label becomes rarer.

    l_i = -1 / C sum_c ( y (1 - p)^a_c log p + (1 - y) q^b_c log(1 - q) )
    a_c = gamma_positive + weight_positive h_c        b_c = gamma_negative + weight_negative h_c
    h_c = (1 - log(n_c / max_j n_j))^power        y = labels_i[c],  p = sigmoid(logits_i[c]),  q = max(p - clip, 0)

logits    [*, C] unnormalised scores            labels    [*, C] indicators in [0, 1]
class_counts   [C] training examples n of each label
gamma_positive, gamma_negative     >= 0: focusing of positives and negatives
weight_positive, weight_negative   >= 0: how much of it follows the rarity h; both 0 is asymmetric
power     >= 0: of the rarity
clip      in [0, 1): a negative with p <= clip has neither loss nor gradient
Returns   [*] loss per example, the mean over its labels
Numerics  those of asymmetric
Paper     Zhang et al. 2023, arXiv:2304.10539, eq. 5 and 6. The values are those of the authors' code: the text does not
          give them, nor h beyond that it is at least 1, larger for rarer labels, and made from the class distribution
Differs   the equations have no clip; the authors' code has, from the asymmetric loss. It also multiplies the loss of a
          label by h, cuts the gradient through the powers, sums instead of taking means, and in the version that its
          configs name lowers and raises probabilities by the co-occurrence of labels: none of it is in the equations
"""

from typing import Annotated

from annotated_types import Ge, Interval
from jaxtyping import Float
from torch import Tensor

from lossbench.losses.multilabel.asymmetric import asymmetric


def multi_focal_modifier(
    logits: Float[Tensor, "*b C"],
    labels: Float[Tensor, "*b C"],
    class_counts: Float[Tensor, "C"],
    *,
    gamma_positive: Annotated[float, Ge(0)] = 0.0,
    gamma_negative: Annotated[float, Ge(0)] = 3.0,
    weight_positive: Annotated[float, Ge(0)] = 0.0,
    weight_negative: Annotated[float, Ge(0)] = 1.0,
    power: Annotated[float, Ge(0)] = 1 / 3,
    clip: Annotated[float, Interval(ge=0, lt=1)] = 0.05,
) -> Float[Tensor, "*b"]:
    rarity = (1 - (class_counts / class_counts.amax()).log()) ** power
    positive: Tensor = gamma_positive + weight_positive * rarity
    negative: Tensor = gamma_negative + weight_negative * rarity
    # One exponent a label is as good as one for all of them.
    return asymmetric(logits, labels, gamma_positive=positive, gamma_negative=negative, clip=clip)  # type: ignore[arg-type]
