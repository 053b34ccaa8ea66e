"""SparsePO: token-level DPO whose log-ratios and KLs are weighted, token by token, by sparse masks, learned along.

    m(y_t) = max(0, v . f(y before t) + c)        f: features of the reference; v, c learned
    u = sum_t m_u(w_t) log pi(w_t) / ref(w_t) - sum_t m_u(l_t) log pi(l_t) / ref(l_t)        w: chosen, l: rejected
    d = sum_t m_d(l_t) KL(ref || pi)(l, t) - sum_t m_d(w_t) KL(ref || pi)(w, t)        of the next token
    l_i = -log sigmoid(beta (u - d)) + l1_reward sum_t m_u(w_t) + m_u(l_t) + l1_kl sum_t m_d(w_t) + m_d(l_t)

chosen_logits        [B, T, C] unnormalised scores        ref_chosen_logits        [B, T, C] of the reference
rejected_logits      [B, T, C]                            ref_rejected_logits      [B, T, C]
chosen_token_logps   [B, T] log pi of each token          ref_chosen_token_logps   [B, T] of the reference
rejected_token_logps [B, T]                               ref_rejected_token_logps [B, T]
ref_chosen_features, ref_rejected_features   [B, T, D] of the reference, where it predicts the token
chosen_mask, rejected_mask   [B, T] true where a token is one of the completion
params    {"weight": [2, D], "bias": [2]}: v and c of m_u and m_d
masks     common: m_d is m_u; independent: each has its own
beta      > 0
l1_reward, l1_kl   >= 0, of the sizes of the masks
Returns   [B] loss per pair
Numerics  as in tdpo
Paper     Christopoulou et al. 2024, arXiv:2410.05102; the objective, the masks and the defaults of beta and of the
          sizes are checked against the authors' code (HEBO, SparsePO), whose mask_model=simple_last this is
Differs   masks from the last layer's features alone; the paper's main runs mix masks of all layers (simple_all), with a
          dropout of 1 % on them, which is left out
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.nn.functional import logsigmoid

from lossbench.ops import kl_divergence
from lossbench.token_risks import masked, token_risks


def init_params(*, num_features: int, generator: Generator) -> dict[str, Tensor]:
    bound = num_features**-0.5  # as torch.nn.Linear begins
    weight, bias = ((2 * torch.rand(shape, generator=generator) - 1) * bound for shape in ((2, num_features), (2,)))
    return {"weight": weight, "bias": bias}


def sparsepo(
    chosen_logits: Float[Tensor, "B T C"],
    rejected_logits: Float[Tensor, "B T C"],
    ref_chosen_logits: Float[Tensor, "B T C"],
    ref_rejected_logits: Float[Tensor, "B T C"],
    chosen_token_logps: Float[Tensor, "B T"],
    rejected_token_logps: Float[Tensor, "B T"],
    ref_chosen_token_logps: Float[Tensor, "B T"],
    ref_rejected_token_logps: Float[Tensor, "B T"],
    ref_chosen_features: Float[Tensor, "B T D"],
    ref_rejected_features: Float[Tensor, "B T D"],
    chosen_mask: Bool[Tensor, "B T"],
    rejected_mask: Bool[Tensor, "B T"],
    params: dict[str, Tensor],
    *,
    masks: Literal["common", "independent"] = "common",
    beta: Annotated[float, Gt(0)] = 0.1,
    l1_reward: Annotated[float, Ge(0)] = 0.0,
    l1_kl: Annotated[float, Ge(0)] = 0.0,
) -> Float[Tensor, "B"]:
    own = masks == "independent"
    gain, kl, sizes = _weighted(chosen_logits, ref_chosen_logits, chosen_token_logps - ref_chosen_token_logps,
                                ref_chosen_features, chosen_mask, params, own)  # fmt: skip
    loss, other_kl, other_sizes = _weighted(
        rejected_logits, ref_rejected_logits, rejected_token_logps - ref_rejected_token_logps, ref_rejected_features,
        rejected_mask, params, own,
    )  # fmt: skip
    size_u, size_d = (sizes + other_sizes).unbind(-1)
    return -logsigmoid(beta * ((gain - loss) - (other_kl - kl))) + l1_reward * size_u + l1_kl * size_d


def _weighted(
    logits: Tensor, ref_logits: Tensor, log_ratios: Tensor, features: Tensor, mask: Tensor, params: dict, own: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """[B] weighted log-ratios and [B] weighted KLs of a completion, and [B, 2] the sizes of both masks."""
    scores = features @ params["weight"].mT + params["bias"]
    weights = torch.where(mask.unsqueeze(-1), scores, 0.0).relu()
    weights = weights if own else weights[..., :1].expand_as(weights)
    kl = token_risks(ref_logits, logits, mask, kl_divergence)
    reward = masked(log_ratios, mask)
    return (weights[..., 0] * reward).sum(-1), (weights[..., 1] * kl).sum(-1), weights.sum(1)
