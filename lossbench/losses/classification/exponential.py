"""Exponential: the loss of boosting, which grows exponentially as the true class falls behind.

    l_i = exp(-s_i)        s_i = logits_i[y_i] - max_{c != y_i} logits_i[c]

logits    [*, C] scores                         targets   [*] class indices y
Returns   [*] loss per example
Numerics  beyond s = -50 the tangent, e^50 (1 - s - 50), goes on in its place: e^-s overflows in float32 at s = -88. Its
          gradients are large long before; clip_norm is what the EnsLoss authors set
Paper     Freund and Schapire 1997, A decision-theoretic generalization of on-line learning
Differs   for two classes, f(x) of the binary form is the difference of the two scores; more classes by their margin
"""

from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import margin, stopgrad

TANGENT_BELOW = -50.0


def exponential(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    s = margin(logits, targets)
    kept = s.clamp(min=TANGENT_BELOW)
    power = (-kept).exp()
    return power + stopgrad(power) * (kept - s)
