"""Cross-entropy: the negative log-likelihood of the true class, with label smoothing and class weights.

    l_i = w[y_i] (1 - smoothing) (-log p_i[y_i]) + smoothing / C sum_c w[c] (-log p_i[c])        p_i = softmax(logits_i)

logits         [*, C] unnormalised scores            targets   [*] class indices y
smoothing      in [0, 1]; null is 0, the plain negative log-likelihood, without the mean over the classes
class_weights  [C] weights w >= 0; null is 1 for every class
Returns   [*] loss per example
Numerics  log-softmax; no probability is formed
Paper     smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7
Differs   torch.nn.functional.cross_entropy with weights divides by the summed weights of the batch; here the reduction
          divides by the number of examples, like for every other loss. Scale the weights to mean 1 to compare.
"""

from typing import Annotated

from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor


def cross_entropy(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    *,
    smoothing: Annotated[float, Interval(ge=0, le=1)] | None = None,
    class_weights: Float[Tensor, "C"] | None = None,
) -> Float[Tensor, "*b"]:
    nll = -logits.log_softmax(-1)
    if class_weights is not None:
        nll = nll * class_weights
    true_class = nll.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    if smoothing is None:
        return true_class
    return (1 - smoothing) * true_class + smoothing * nll.mean(-1)
