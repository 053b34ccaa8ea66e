"""Doubly robust: each example gets the weight of the worst distribution over the examples that is near uniform in KL.

    max_q sum_i q_i l_i - temperature sum_i q_i log(N q_i)  =  temperature log(1/N sum_i exp(l_i / temperature))

whose gradient is that of mean_i w_i l_i over a batch with

    w_i = exp(l_i / temperature) / u        u <- (1 - update_rate) u + update_rate mean_i exp(l_i / temperature)

Doubly: with task=adversarial_classification the l_i are losses of attacked inputs.

losses       [*] loss per example l
state        {"log_sum": [], "log_total": []} logarithms of the average u before and of the sum of its coefficients
temperature  > 0, r in the paper; weights are uniform as it grows, and on the worst example as it falls to 0
update_rate  in (0, 1]; 1 forgets all earlier batches: the weights are B times a softmax, and their mean is 1
Returns      [*] weight per example, and the new state
Numerics     u in logarithms. A weight overflows where one loss exceeds what was usual by 88 temperatures, unless
             update_rate is 1
Paper        Sow et al. 2023, arXiv:2308.00311: the weights of the outer problem, and its compositional form
Differs      this is the first-order method: the paper also differentiates through the attack (implicitly, with a log
             barrier in the place of the ball). The average starts at the first batch's, corrected as in Adam; how
             theirs starts, and their temperature and rate, could not be consulted, so the defaults are ours
"""

from typing import Annotated

import torch
from annotated_types import Gt, Interval
from jaxtyping import Float
from torch import Tensor


def init_state(*, device: torch.device | None = None) -> dict[str, Tensor]:
    return {name: torch.full((), -torch.inf, device=device) for name in ("log_sum", "log_total")}


def doubly_robust(
    losses: Float[Tensor, "*b"],
    state: dict[str, Tensor],
    *,
    temperature: Annotated[float, Gt(0)] = 1.0,
    update_rate: Annotated[float, Interval(gt=0, le=1)] = 0.1,
) -> tuple[Float[Tensor, "*b"], dict[str, Tensor]]:
    scaled = losses / temperature
    log_mean = scaled.flatten().logsumexp(0) - torch.log(torch.tensor(losses.numel(), dtype=losses.dtype))
    rate = torch.as_tensor(update_rate, dtype=losses.dtype, device=losses.device)
    log_kept, log_new = torch.log1p(-rate), rate.log()
    log_sum = torch.logaddexp(state["log_sum"] + log_kept, log_new + log_mean)
    log_total = torch.logaddexp(state["log_total"] + log_kept, log_new)
    memory = {"log_sum": log_sum, "log_total": log_total}
    weights = (scaled - (log_sum - log_total)).exp()
    return weights.to(losses.dtype), {name: value.to(state[name].dtype) for name, value in memory.items()}
