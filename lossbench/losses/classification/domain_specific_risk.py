"""Domain-specific risk: every domain trains a head of its own, and all domains one that they share.

    l_i = (CE(z_i[g_i], y_i) + CE(z_i[G], y_i)) / 2        z_i[g] = logits of head g of example i
    CE(z, y) = -log softmax(z)[y]

domain_logits  [*, G + 1, C] unnormalised scores of each head, the shared one last
targets        [*] class indices y        groups  [*] domain of each example, g
Returns        [*] loss per example; two heads that are alike give cross_entropy
Paper          Zhang et al. 2022, arXiv:2208.08661 (DRM); the form of the authors' code, the equations not seen
Differs        the mean over the batch weighs a domain by its examples in it; the authors draw as many from each
               domain
"""

from jaxtyping import Float, Int
from torch import Tensor


def domain_specific_risk(
    domain_logits: Float[Tensor, "*b H C"], targets: Int[Tensor, "*b"], groups: Int[Tensor, "*b"]
) -> Float[Tensor, "*b"]:
    log_p = domain_logits.log_softmax(-1)
    place = targets[..., None, None].expand(*targets.shape, log_p.shape[-2], 1)
    of_target = log_p.gather(-1, place).squeeze(-1)
    own = of_target.gather(-1, groups.unsqueeze(-1)).squeeze(-1)
    return -0.5 * (own + of_target[..., -1])
