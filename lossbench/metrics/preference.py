"""Metrics of policies that learn from preferences: on held-out pairs, and over all completions of a known reward.

top_entropy and top_mass: Shi et al. 2024, arXiv:2410.11677. gradient_cosine, gradient_ratio and entangled: Yuan et al.
2024, arXiv:2410.13828, the gradient condition of losses of the margin alone, such as dpo, ipo and slic.

Means are float64 (float32 on MPS). Nothing waits for the device. What is not finite makes every metric NaN.
"""

from math import log, log10
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lossbench.metrics.best_of_n import best_of_n_curve
from lossbench.metrics.ranking import nan_unless, precise

GRID = 1000  # points of the frontier
TOP = 5  # tokens whose entropy and mass are looked at
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


def top_tokens(logits: Float[Tensor, "B T V"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B 2"]:
    """Entropy and mass of the TOP likeliest next tokens, or of all where there are fewer; means over the tokens that
    count. The entropy is that of the distribution among them: log TOP where they are equally likely."""
    log_p = logits.float().log_softmax(-1)
    top = log_p.topk(min(TOP, log_p.shape[-1]), -1).values
    mass = top.logsumexp(-1)
    within = top - mass.unsqueeze(-1)
    entropy = -(within.exp() * within).sum(-1)
    count = mask.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(mask.unsqueeze(-1), torch.stack([entropy, mass.exp()], -1), 0.0).sum(1) / count


def token_metrics(top_tokens: Float[Tensor, "N 2"]) -> dict[str, Float[Tensor, ""]]:
    """top_entropy and top_mass: of the policy's likeliest next tokens along the chosen completions, see top_tokens."""
    entropy, mass = precise(top_tokens).mean(0).unbind()
    return {"top_entropy": entropy, "top_mass": mass}


def gradient_metrics(gradient_products: Float[Tensor, "N 3"]) -> dict[str, Float[Tensor, ""]]:
    """Of the gradients g of log pi(chosen) and h of log pi(rejected), by all weights of the policy, pair by pair:

    gradient_cosine    mean of <g, h> / (|g| |h|)
    gradient_ratio     geometric mean of |g| / |h|
    entangled          part of the pairs with <g, h> > min(|g|^2, |h|^2): a small step on a loss of the margin then
                       moves log pi(chosen) and log pi(rejected) the same way

    gradient_products  <g, g>, <g, h>, <h, h> of each pair; NaN where a pair was not looked at
    """
    products = precise(gradient_products)
    looked = products.isfinite().all(-1)
    own, shared, other = torch.where(looked.unsqueeze(-1), products, 1.0).unbind(-1)
    count = looked.sum().clamp(min=1)

    def mean(values: Tensor) -> Tensor:
        return torch.where(looked, values, 0.0).sum() / count

    length = (own * other).clamp(min=torch.finfo(own.dtype).tiny).sqrt()
    tiny = torch.finfo(own.dtype).tiny
    values = {
        "gradient_cosine": mean(shared / length),
        "gradient_ratio": mean((own.clamp(min=tiny).log() - other.clamp(min=tiny).log()) / 2).exp(),
        "entangled": mean(precise(shared > torch.minimum(own, other))),
    }
    return nan_unless(looked.any(), values)


class Frontier(NamedTuple):
    """The reward at each KL, both over all prompts alike.

    kl, reward   [GRID] of policies proportional to reference exp(reward / beta), from large beta to small: the most
                 that can be had; or of best-of-n of the reference, for growing n
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


def best_of_n_frontier(rewards: Float[Tensor, "P Y"], ref_logps: Float[Tensor, "P Y"]) -> Frontier:
    kl, reward = best_of_n_curve(ref_logps, rewards)
    return Frontier(kl, reward, reward[0])


def reward_at(frontier: Frontier, kl: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The expected reward on the frontier at this KL, interpolated; beyond the ends that of the ends."""
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


def information_entropy(log_ratio: Float[Tensor, "P Y"]) -> Float[Tensor, "P"]:
    """Entropy of the differential information distribution, (policy / reference) / sum: what the policy has learnt over
    the reference, as a distribution over completions. log Y where it has learnt nothing; low where what it has learnt
    is about few completions. Won et al. 2025, arXiv:2505.23761, theorem 3.2.
    """
    log_q = log_ratio.log_softmax(-1)
    return -torch.where(log_q.exp() > 0, log_q.exp() * log_q, 0.0).sum(-1)


def target_divergences(policy_logps: Float[Tensor, "P Y"], target_logps: Float[Tensor, "P Y"]) -> Float[Tensor, "P 3"]:
    """Of the policy and the target, for each prompt: KL(policy || target), the total variation distance, and the
    Jensen-Shannon divergence, the mean of the KL of each to their mean; in nats."""
    p, q = policy_logps.exp(), target_logps.exp()
    log_m = torch.logaddexp(policy_logps, target_logps) - log(2)
    reverse = (p * (policy_logps - target_logps)).sum(-1)
    shannon = ((p * (policy_logps - log_m)).sum(-1) + (q * (target_logps - log_m)).sum(-1)) / 2
    return torch.stack([reverse, (p - q).abs().sum(-1) / 2, shannon], -1)


def divergence_metrics(target_divergences: Float[Tensor, "N 3"]) -> dict[str, Float[Tensor, ""]]:
    """target_reverse_kl, target_distance (total variation) and target_divergence (Jensen-Shannon); see
    target_divergences. Means over the prompts of a split."""
    names = ("target_reverse_kl", "target_distance", "target_divergence")
    return dict(zip(names, precise(target_divergences).mean(0).unbind(), strict=True))


def policy_metrics(
    policy_rewards: Float[Tensor, "N"],
    policy_wins: Float[Tensor, "N"],
    policy_kl: Float[Tensor, "N"],
    policy_entropy: Float[Tensor, "N"],
    reward_agreement: Float[Tensor, "N"],
    frontier: Frontier,
    best_of_n: Frontier | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Means over the prompts of a split, which must be about equally frequent.

    reward            expected true reward            reward_gain   over that of the reference
    win_rate          against the reference           kl            KL(policy || reference)
    completion_entropy   of the policy over completions, in nats
    frontier_gap      how much more reward the best policy of the same KL has
    best_of_n_gap     how much more reward best-of-n of the reference has, at the n that has the same KL
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
    if best_of_n is not None:
        values["best_of_n_gap"] = reward_at(best_of_n, kl) - reward
    return nan_unless(reward.isfinite() & kl.isfinite(), values)
