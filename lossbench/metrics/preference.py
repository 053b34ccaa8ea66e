"""Metrics of policies that learn from preferences: on held-out pairs, and over all completions of a known reward.

Means are float64 (float32 on MPS). Nothing waits for the device. What is not finite makes every metric NaN.
"""

from math import log10
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lossbench.metrics.ranking import nan_unless, precise

GRID = 1000  # points of the frontier
COLDEST, HOTTEST = 1e-3, 1e3  # beta over the standard deviation of the reward, at its ends


def preference_metrics(
    chosen_logps: Float[Tensor, "N"],
    rejected_logps: Float[Tensor, "N"],
    ref_chosen_logps: Float[Tensor, "N"],
    ref_rejected_logps: Float[Tensor, "N"],
) -> dict[str, Float[Tensor, ""]]:
    """accuracy              part of the pairs whose chosen completion has the higher log(policy / reference); ties half
    likelihood_accuracy   the same of the policy's log-probability alone
    margin                mean of log(policy / reference) of the chosen minus that of the rejected completion
    chosen_logp           mean log-probability of the chosen completion; rejected_logp: of the rejected one
    chosen_shift          mean log(policy / reference) of the chosen one; rejected_shift. Likelihood is displaced where
                          both are negative
    """
    chosen, rejected, ref_chosen, ref_rejected = map(
        precise, (chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
    )
    up, down = chosen - ref_chosen, rejected - ref_rejected
    values = {
        "accuracy": _wins(up - down).mean(),
        "likelihood_accuracy": _wins(chosen - rejected).mean(),
        "margin": (up - down).mean(),
        "chosen_logp": chosen.mean(),
        "rejected_logp": rejected.mean(),
        "chosen_shift": up.mean(),
        "rejected_shift": down.mean(),
    }
    return nan_unless((up - down).isfinite().all(), values)


def _wins(difference: Tensor) -> Tensor:
    return precise(difference > 0) + precise(difference == 0) / 2


class Frontier(NamedTuple):
    """The most reward that can be had at each KL, both over all prompts alike.

    kl, reward   [GRID] of policies proportional to reference exp(reward / beta), from large beta to small
    start        [] expected reward of the reference
    """

    kl: Tensor
    reward: Tensor
    start: Tensor


def frontier(rewards: Float[Tensor, "P Y"], ref_logps: Float[Tensor, "P Y"]) -> Frontier:
    """Of the closed-form optimum of expected reward minus beta KL(policy || reference), for many beta."""
    p = ref_logps.exp()
    start = (p * rewards).sum(-1)
    spread = (p * (rewards - start.unsqueeze(-1)).square()).sum(-1).mean().sqrt()
    betas = torch.logspace(log10(HOTTEST), log10(COLDEST), GRID, dtype=rewards.dtype).to(rewards.device) * spread
    points = []
    for beta in betas:
        log_p = (ref_logps + rewards / beta).log_softmax(-1)
        kl, reward = (log_p.exp() * (log_p - ref_logps)).sum(-1).mean(), (log_p.exp() * rewards).sum(-1).mean()
        points.append(torch.stack([kl, reward]))
    kl, reward = torch.stack(points, 1)
    return Frontier(kl, reward, start.mean())


def reward_at(frontier: Frontier, kl: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The most expected reward of all policies with this KL, interpolated; beyond the ends that of the ends."""
    place = torch.searchsorted(frontier.kl, kl.reshape(1)).clamp(1, len(frontier.kl) - 1)
    low, high = frontier.kl[place - 1], frontier.kl[place]
    part = ((kl - low) / (high - low).clamp(min=torch.finfo(low.dtype).tiny)).clamp(0, 1)
    return (frontier.reward[place - 1] + part * (frontier.reward[place] - frontier.reward[place - 1])).squeeze(0)


def win_table(rewards: Float[Tensor, "P Y"], ref_logps: Float[Tensor, "P Y"]) -> Float[Tensor, "P Y"]:
    """Probability that each completion has a higher reward than one of the reference; ties count half."""
    rewards = (rewards * 1e9).round()  # sums of the same numbers in another order are ties
    ordered, order = rewards.sort(-1)
    mass = torch.nn.functional.pad(ref_logps.exp().gather(-1, order).cumsum(-1), (1, 0))
    below = mass.gather(-1, torch.searchsorted(ordered, rewards.contiguous()))
    upto = mass.gather(-1, torch.searchsorted(ordered, rewards.contiguous(), right=True))
    return (below + upto) / 2


def agreement(
    log_ratio: Float[Tensor, "P Y"], rewards: Float[Tensor, "P Y"], ref_logps: Float[Tensor, "P Y"]
) -> Float[Tensor, "P"]:
    """Correlation over the reference's completions of each prompt; 0 where the log-ratio is constant."""
    p = ref_logps.exp()
    a, b = (v - (p * v).sum(-1, keepdim=True) for v in (log_ratio, rewards))
    product = (p * a.square()).sum(-1) * (p * b.square()).sum(-1)
    return (p * a * b).sum(-1) / product.clamp(min=1e-24).sqrt()


def policy_metrics(
    policy_rewards: Float[Tensor, "N"],
    policy_wins: Float[Tensor, "N"],
    policy_kl: Float[Tensor, "N"],
    policy_entropy: Float[Tensor, "N"],
    reward_agreement: Float[Tensor, "N"],
    frontier: Frontier,
) -> dict[str, Float[Tensor, ""]]:
    """Means over the prompts of a split, which must be about equally frequent.

    reward            expected true reward            reward_gain   over that of the reference
    win_rate          against the reference           kl            KL(policy || reference)
    completion_entropy   of the policy over completions, in nats
    frontier_gap      how much more reward the best policy of the same KL has
    reward_agreement  correlation of log(policy / reference) with the reward, over the reference's completions
    """
    reward, kl = precise(policy_rewards).mean(), precise(policy_kl).mean()
    values = {
        "reward": reward,
        "reward_gain": reward - frontier.start,
        "win_rate": precise(policy_wins).mean(),
        "kl": kl,
        "completion_entropy": precise(policy_entropy).mean(),
        "frontier_gap": reward_at(frontier, kl) - reward,
        "reward_agreement": precise(reward_agreement).mean(),
    }
    return nan_unless(reward.isfinite() & kl.isfinite(), values)
