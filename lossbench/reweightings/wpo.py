"""WPO: pairs whose completions are likely under the policy count more, as if the policy had drawn them.

    w(y) = exp( 1/|y| sum_t [ log pi(y_t | y_<t) - a_t ] )        weight_i = w(chosen_i) w(rejected_i)

    a_t = log sum_v pi(v | y_<t)^2        alignment: sampled
    a_t = log max_v pi(v | y_<t)          alignment: greedy
    a_t = 0                               alignment: none

chosen_token_logps  [B, T] log pi(y_t)        rejected_token_logps  [B, T]
chosen_logits   [B, T, C] of all tokens       rejected_logits       [B, T, C]
chosen_mask     [B, T] true for tokens of the completion        rejected_mask  [B, T]
alignment  sampled makes a completion that is drawn from the policy weigh about 1; a uniform policy gives it exactly
maximum    > 0, of the product, or null
Returns   [B] weight of each pair
Numerics  in logarithms
Paper     Zhou et al. 2024, arXiv:2406.11827, sections on weighted preference optimization and weight alignment
Differs   the authors' code has 1 as maximum of the product, the formula has none
"""

from typing import Annotated, Literal

import torch
from annotated_types import Gt
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.ops import masked_mean


def wpo(
    chosen_token_logps: Float[Tensor, "B T"],
    rejected_token_logps: Float[Tensor, "B T"],
    chosen_logits: Float[Tensor, "B T C"],
    rejected_logits: Float[Tensor, "B T C"],
    chosen_mask: Bool[Tensor, "B T"],
    rejected_mask: Bool[Tensor, "B T"],
    *,
    alignment: Literal["sampled", "greedy", "none"] = "sampled",
    maximum: Annotated[float, Gt(0)] | None = None,
) -> Float[Tensor, "B"]:
    logs = [
        masked_mean(token_logps - _aligned(logits, alignment), mask, -1)
        for token_logps, logits, mask in (
            (chosen_token_logps, chosen_logits, chosen_mask),
            (rejected_token_logps, rejected_logits, rejected_mask),
        )
    ]
    weights = (logs[0] + logs[1]).exp()
    return weights if maximum is None else torch.clamp(weights, max=maximum)


def _aligned(logits: Tensor, alignment: str) -> Tensor:
    """[B, T] a_t."""
    log_p = logits.log_softmax(-1)
    if alignment == "sampled":
        return (2 * log_p).logsumexp(-1)
    return log_p.amax(-1) if alignment == "greedy" else torch.zeros_like(log_p[..., 0])
