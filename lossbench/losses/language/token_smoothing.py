"""Token-level smoothing: a part of the target goes to tokens that are like it, perhaps to rarer or commoner ones.

    l = -(1 - alpha) log p_y - alpha sum_v r_v log p_v                p = softmax(logits)
    r_v ~ exp( (cos(E_v, E_y) - 1) / temperature - rarity min(f_v / f_y, f_y / f_v) ), over all tokens, y among them

logits            [*, C] unnormalised scores        targets        [*] class indices y
token_embeddings  [C, D] what tokens are compared by, without gradient
class_counts      [C] how often each token is a target in training, f
alpha             in [0, 1]; 0 is cross_entropy
temperature       > 0 (the paper's tau); to 0, the target alone; to infinity and without rarity, all tokens alike
rarity            >= 0 (the paper's beta): keeps away from tokens that are as frequent as the target
Returns           [*] loss per token
Numerics          log-softmax; r is a softmax
Paper             Elbayad et al. 2018, arXiv:1805.05062; alpha and temperature are tuned there, these defaults are ours
Differs           the paper compares words by GloVe vectors, which are fixed; here by the model's own embeddings of the
                  moment. Smoothing of whole sequences is augmentation=[hamming_noise]; both go together
"""

from typing import Annotated

from annotated_types import Ge, Gt, Interval
from jaxtyping import Float, Int
from torch import Tensor, minimum

from lossbench.ops import normalize, stopgrad


def token_smoothing(
    logits: Float[Tensor, "*b C"],
    targets: Int[Tensor, "*b"],
    token_embeddings: Float[Tensor, "C D"],
    class_counts: Float[Tensor, "C"],
    *,
    alpha: Annotated[float, Interval(ge=0, le=1)] = 0.3,
    temperature: Annotated[float, Gt(0)] = 0.3,
    rarity: Annotated[float, Ge(0)] = 0.0,
) -> Float[Tensor, "*b"]:
    unit = normalize(stopgrad(token_embeddings))
    similarity = unit[targets] @ unit.T
    ratio = class_counts / class_counts[targets].unsqueeze(-1)
    score = (similarity - 1) / temperature - rarity * minimum(ratio, 1 / ratio)
    log_p = logits.log_softmax(-1)
    of_target = log_p.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return -(1 - alpha) * of_target - alpha * (score.softmax(-1) * log_p).sum(-1)
