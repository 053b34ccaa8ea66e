"""Group DRO: the groups that do badly get more weight, by exponentiated gradient ascent on a distribution over groups.

    q_g <- q_g exp(step_size (L_g + adjustment / sqrt(n_g))), then q <- q / sum_g q_g
    objective   sum_g q_g L_g = mean_i w_i l_i        w_i = B q_{g_i} / b_{g_i}

L_g is the mean loss of the b_g examples of group g in the batch, and 0 where it has none; q is a constant in the step.

losses        [*] loss per example l            groups        [*] group indices g
group_counts  [G] training examples of each group, n
state         {"log_weights": [G]} log q, uniform at first
step_size     >= 0; 0 weighs all groups the same in every batch
adjustment    >= 0; C, a bonus for small groups, which generalise worse; 0 is none
Returns       [*] weight per example, and the new state
Numerics      q in logarithms: the softmax of log q + step_size (...), which cannot overflow
Paper         Sagawa et al. 2020, arXiv:1911.08731, algorithm 1 and section 3.3 (adjustment)
Differs       algorithm 1 draws a group, then an example of it; with shuffled batches q_g L_g is formed from what the
              batch has, as the authors' code does, which also draws balanced batches. Their code adds the constant
              q_g adjustment / sqrt(n_g) to the reported loss, and drops the adjustment where it is 0 for any group
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import one_hot


def init_state(*, num_groups: int, device: torch.device | None = None) -> dict[str, Tensor]:
    return {"log_weights": torch.zeros(num_groups, device=device).log_softmax(-1)}


def group_dro(
    losses: Float[Tensor, "*b"],
    groups: Int[Tensor, "*b"],
    group_counts: Float[Tensor, "G"],
    state: dict[str, Tensor],
    *,
    step_size: Annotated[float, Ge(0)] = 0.01,
    adjustment: Annotated[float, Ge(0)] = 0.0,
) -> tuple[Float[Tensor, "*b"], dict[str, Tensor]]:
    members = one_hot(groups.flatten(), group_counts.shape[-1], losses.dtype)  # [B, G]
    counts = members.sum(0).clamp(min=1)
    means = losses.flatten() @ members / counts
    ascent = step_size * (means + adjustment * group_counts.rsqrt()).to(state["log_weights"].dtype)
    log_weights = (state["log_weights"] + ascent).log_softmax(-1)
    share = groups.numel() * log_weights.exp().to(losses.dtype) / counts
    return share[groups], {"log_weights": log_weights}
