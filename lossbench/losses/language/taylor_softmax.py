"""Taylor softmax: -log of probabilities that are the second-order expansion of exp, so that they need no exponential.

    l = -log(t_y / sum_c t_c)        t_c = 1 + o_c + o_c^2 / 2, at least 1/2

logits    [*, C] scores o                           targets   [*] class indices y
Returns   [*] loss per example, >= 0
Numerics  t = ((1 + o)^2 + 1) / 2, so that nothing cancels; divided by the largest before the sum
Paper     Vincent et al. 2015, arXiv:1412.7091; the name and its use for language models: de Brebisson and Vincent 2016,
          arXiv:1511.05042
Differs   nothing; the paper's algorithm never forms the scores, here they are formed
"""

from jaxtyping import Float, Int
from torch import Tensor


def taylor_softmax(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    largest = (1 + logits).abs().amax(-1, keepdim=True).clamp(min=1).detach()
    terms = ((1 + logits) / largest).square() + largest**-2
    return terms.sum(-1).log() - terms.gather(-1, targets.unsqueeze(-1)).squeeze(-1).log()
