"""Metrics of selective prediction: what a classifier is worth when it may abstain from what it is least sure of.

Examples are taken in the order of their confidence, the most certain first; after k of N the coverage is k / N and the
selective risk is the part of wrong ones among the k. Of equal confidences none comes first: risks are those that all
orders of them have on average, and a threshold takes all of them or none. Nothing waits for the device.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.metrics.ranking import blocks, nan_unless, precise


def selective_metrics(logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"]) -> dict[str, Float[Tensor, ""]]:
    """All metrics of a split by name, as 0-d tensors; the confidence is the largest probability.

    logits   [N, C] unnormalised scores        targets  [N] class indices
    Returns  aurc, excess_aurc, selective_accuracy_at_80 (of the 80 % most certain examples), coverage_at_1_percent_risk
             and coverage_at_5_percent_risk (the largest part whose risk is at most so much)
    """
    errors = logits.argmax(-1) != targets.long()
    ordered = Ordered(log_odds(logits), errors)
    values = {
        "aurc": ordered.aurc(),
        "excess_aurc": ordered.aurc() - lowest_aurc(errors),
        "selective_accuracy_at_80": 1 - ordered.risk_at(0.8),
        "coverage_at_1_percent_risk": ordered.coverage_at(0.01),
        "coverage_at_5_percent_risk": ordered.coverage_at(0.05),
    }
    return nan_unless(logits.isfinite().all(), values)


def rejection_metrics(
    scores: Float[Tensor, "N"], acceptable: Bool[Tensor, "N"], logits: Float[Tensor, "N C"], *, cost: float
) -> dict[str, Float[Tensor, ""]]:
    """What a rejector is worth that accepts an answer of a classifier where its score is positive, as 0-d tensors.

    scores   [N] of the rejector        acceptable  [N] whether the answer is right
    logits   [N, C] scores of the classifier
    Returns  rejection_loss, the mean of 1[accepted, wrong] + cost 1[rejected]; coverage, the part that is accepted;
             accepted_error, the part of these that is wrong, NaN without any; aurc; coverage_at_cost, the largest
             coverage of a threshold on the scores with an error of at most cost, and confidence_coverage_at_cost, that
             of a threshold on the classifier's confidence
    """
    accepted, wrong = scores > 0, ~acceptable
    ordered = Ordered(precise(scores), wrong)
    values = {
        "rejection_loss": precise(accepted & wrong).mean() + cost * precise(~accepted).mean(),
        "coverage": precise(accepted).mean(),
        "accepted_error": precise(accepted & wrong).sum() / accepted.sum(),
        "aurc": ordered.aurc(),
        "coverage_at_cost": ordered.coverage_at(cost),
        "confidence_coverage_at_cost": Ordered(log_odds(logits), wrong).coverage_at(cost),
    }
    return nan_unless(scores.isfinite().all(), values)


def log_odds(logits: Float[Tensor, "N C"]) -> Float[Tensor, "N"]:
    """log p - log(1 - p) of the largest probability p: its order, without the ties where p rounds to 1."""
    logits = precise(logits)
    top = logits.argmax(-1, keepdim=True)
    rest = torch.where(top == torch.arange(logits.shape[-1], device=logits.device), -math.inf, logits)
    return logits.gather(-1, top).squeeze(-1) - rest.logsumexp(-1)


class Ordered:
    """Examples in the order of a score, the most certain first.

    scores  [N] the higher, the more certain        errors  [N] whether the prediction is wrong
    """

    def __init__(self, scores: Float[Tensor, "N"], errors: Bool[Tensor, "N"]):
        ascending, order = (-scores).sort()
        self.first, self.last = blocks(ascending)
        wrong = precise(errors.gather(0, order)).cumsum(0)
        places = torch.arange(len(scores), device=scores.device)
        before = torch.where(self.first > 0, wrong.gather(0, (self.first - 1).clamp(min=0)), 0)
        within = wrong.gather(0, self.last) - before  # wrong ones of the example's own block of equal scores
        # Over all orders of a block, its first m places hold m / size of its errors on average.
        self.wrong = before + within * (places - self.first + 1) / (self.last - self.first + 1)
        self.number = precise(places + 1)
        self.block_end = places == self.last

    def aurc(self) -> Float[Tensor, ""]:
        """Area under the risk-coverage curve, 1 / N sum_k risk(k): 0 where nothing is wrong, the lower the better.

        Source  Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206, section 3
        """
        return (self.wrong / self.number).mean()

    def risk_at(self, coverage: float) -> Float[Tensor, ""]:
        """Selective risk of the ceil(coverage N) most certain examples."""
        count = math.ceil(coverage * len(self.wrong) - 1e-9)  # 0.8 * 5 is 4, whatever it is in floating point
        return self.wrong[count - 1 : count].sum() / count if count else self.wrong.sum() * math.nan

    def coverage_at(self, risk: float) -> Float[Tensor, ""]:
        """Largest coverage that a threshold on the score can have with at most this selective risk; 0 where none is."""
        allowed = self.block_end & (self.wrong <= risk * self.number + 1e-9)
        if not len(allowed):
            return self.wrong.sum() * math.nan
        return torch.where(allowed, self.number, 0).amax() / len(allowed)


def lowest_aurc(errors: Bool[Tensor, "N"]) -> Float[Tensor, ""]:
    """The area where every wrong prediction comes after every right one: the lowest with so many errors.

    Source  Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206, section 3; the sum itself, not its logarithmic limit
    """
    count = len(errors)
    right = count - errors.sum()
    places = torch.arange(1, count + 1, device=errors.device)
    return (precise((places - right).clamp(min=0)) / places).mean()
