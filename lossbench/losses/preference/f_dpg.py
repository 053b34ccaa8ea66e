"""f-DPG: the policy gradient of an f-divergence from a target that is known up to a constant, P = ref exp(r / beta).

    l_i = 1/R sum_k (pi(y_ik) / q(y_ik)) (f'(t_ik) + b) log pi(y_ik)        t_ik = pi(y_ik) Z_i / P(y_ik)

    D_f(pi || p) = E_p f(pi / p), p = P / Z            f'(t)
    forward_kl       KL(p || pi)                       -1 / t
    reverse_kl       KL(pi || p)                       log t + 1
    total_variation  sum |pi - p| / 2                  sign(log t) / 2
    jensen_shannon   KL(pi || m) + KL(p || m)          log(2 t / (1 + t))        m = (pi + p) / 2
    chi_square       sum (pi - p)^2 / pi               1 - 1 / t^2
    reverse_chi_square   sum (pi - p)^2 / p            2 (t - 1)

where the factors of log pi have no gradient. The gradient of E_q l_i is that of D_f. Z_i is the mean of P / q over all
samples of the prompt so far, b the mean of -f' over about the last ``window`` samples, those of this batch not among
them; it changes no expectation.

ranking_logps      [B, R] log pi of sampled completions        ref_ranking_logps  [B, R] log ref of them
old_ranking_logps  [B, R] log q, of the policy that has sampled them
rewards            [B, R]        prompt_ids [B] which prompt it is: a place in the state
state     log_sum [N] log of the sum of P / q for each prompt, count [N] of how many samples; baseline [1] and seen [1],
          of how many samples it is
divergence   one of the above
beta      > 0: small is a target of the highest rewards alone
window    samples; null: no baseline
Returns   [B] and the new state. Only the gradient of the value means something
Numerics  log t and log pi / q are clamped to +-20: forward_kl and chi_square grow with 1 / t
Paper     Go et al. 2023, arXiv:2302.08215
Differs   the authors' code clamps nothing, and its baseline is the plain mean of the last 1,024. Its target can be any
          P; with r = -inf where a constraint is broken and 0 elsewhere it would be the paper's other one
"""

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import bounded_log_ratio, stopgrad

NOTHING = -1e30  # the logarithm of 0, but finite
Divergence = Literal[
    "forward_kl", "reverse_kl", "total_variation", "jensen_shannon", "chi_square", "reverse_chi_square"
]
SLOPES = {
    "forward_kl": lambda log_t: -(-log_t).exp(),
    "reverse_kl": lambda log_t: log_t + 1,
    "total_variation": lambda log_t: log_t.sign() / 2,
    "jensen_shannon": lambda log_t: torch.nn.functional.logsigmoid(log_t) + math.log(2),
    "chi_square": lambda log_t: 1 - (-2 * log_t).exp(),
    "reverse_chi_square": lambda log_t: 2 * log_t.expm1(),
}


def init_state(*, num_examples: int, device: torch.device | None = None) -> dict[str, Tensor]:
    return {
        "log_sum": torch.full((num_examples,), NOTHING, device=device),
        "count": torch.zeros(num_examples, device=device),
        "baseline": torch.zeros(1, device=device),
        "seen": torch.zeros(1, device=device),
    }


def f_dpg(
    ranking_logps: Float[Tensor, "B R"],
    old_ranking_logps: Float[Tensor, "B R"],
    ref_ranking_logps: Float[Tensor, "B R"],
    rewards: Float[Tensor, "B R"],
    prompt_ids: Int[Tensor, "B"],
    state: dict[str, Tensor],
    *,
    divergence: Divergence = "jensen_shannon",
    beta: Annotated[float, Gt(0)] = 1.0,
    window: Annotated[float, Ge(1)] | None = 1024,
) -> tuple[Float[Tensor, "B"], dict[str, Tensor]]:
    log_target = ref_ranking_logps + rewards / beta
    log_sum, count = _gathered(state, prompt_ids, log_target - old_ranking_logps)
    log_z = (log_sum - count.log())[prompt_ids].to(log_target.dtype)
    log_pi = stopgrad(ranking_logps)
    log_t = bounded_log_ratio(log_pi - log_target + log_z.unsqueeze(-1))
    pseudo_reward = -SLOPES[divergence](log_t)
    weight = bounded_log_ratio(log_pi - old_ranking_logps).exp()
    baseline, seen = state["baseline"], state["seen"]
    if window is not None:
        new = pseudo_reward.numel()
        many = torch.as_tensor(window, device=seen.device).clamp(min=new).to(seen.dtype)
        part = new / torch.minimum(seen + new, many)
        known = torch.where(seen > 0, baseline, 0.0).to(pseudo_reward.dtype)
        baseline = baseline + part * (pseudo_reward.mean().to(baseline.dtype) - baseline)
        seen = seen + new
        pseudo_reward = pseudo_reward - known
    values = (weight * -pseudo_reward * ranking_logps).mean(-1)
    return values, {"log_sum": log_sum, "count": count, "baseline": baseline, "seen": seen}


def _gathered(state: dict[str, Tensor], prompt_ids: Tensor, log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """([N], [N]) log_sum and count with the samples of this batch, several rows of which may be of one prompt."""
    before, dtype = state["log_sum"], state["log_sum"].dtype
    own = stopgrad(log_weights).logsumexp(-1).to(dtype)
    top = before.scatter_reduce(0, prompt_ids, own, "amax")
    total = (before - top).exp().scatter_add(0, prompt_ids, (own - top[prompt_ids]).exp())
    number = torch.full_like(own, log_weights.shape[-1])
    return top + total.log(), state["count"].scatter_add(0, prompt_ids, number)
