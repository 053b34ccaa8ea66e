"""EMO: cross-entropy and a bound of the earth mover's distance to the target, with costs between token embeddings.

    d = sum_v q_v C(v, y) = 1 - E_y . sum_v q_v E_v        q = softmax(logits),  C(v, w) = 1 - E_v . E_w
    m = -log q_y                                           E_v: row v of the head's weight, at unit length, no gradient

    form            l
    likelihood      (m + sg(m / d) d) / 2: the two gradients, that of d at the scale of m (the code's emo1)
    distance        d + sg(d / m) m: both at the scale of d (the code's emo2)
    pure            d alone

logits       [*, C] unnormalised scores             targets   [*] class indices y
head_weight  [C, D] output embeddings of the tokens, which are the costs
form         how the distance and the likelihood are weighed
Returns      [*] loss per token, >= 0
Numerics     the ratios are those of values that are at least 1e-10
Paper        Ren et al. 2023, arXiv:2310.04691
Differs      the authors' code adds q_y to d and takes its gradient out again: the same gradient. The ratios have no
             gradient, so that the value of the first form is m
"""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import normalize, stopgrad, true_class_log_p


def earth_mover(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    head_weight: Float[Tensor, "C D"],
    *,
    form: Literal["likelihood", "distance", "pure"] = "likelihood",
) -> Float[Tensor, "*b"]:
    embeddings = normalize(stopgrad(head_weight))
    expected = logits.softmax(-1) @ embeddings
    distance = (1 - (expected * embeddings[targets]).sum(-1)).clamp(min=0)
    if form == "pure":
        return distance
    nll = -true_class_log_p(logits, targets)
    if form == "likelihood":
        return (nll + stopgrad(nll / distance.clamp(min=1e-10)) * distance) / 2
    return distance + stopgrad(distance / nll.clamp(min=1e-10)) * nll
