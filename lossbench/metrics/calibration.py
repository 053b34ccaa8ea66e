"""Calibration after training: what is fitted on the validation split and read on another.

Temperature scaling is the baseline of every paper on calibration, split conformal prediction the one of every paper on
prediction sets. Both are fitted deterministically and in batches: no line search, no stopping rule, nothing that waits
for the device.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.classification import brier, ece, ece_equal_mass, nll
from lossbench.metrics.ranking import blocks, nan_unless, precise

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-2, 1e2
HALVINGS = 24  # of the range of the logarithm, 9.2: leaves an error of 3e-7
NEWTON_STEPS = 2  # from there: leave one of rounding, unless the likelihood bends within what the halvings left


def calibration_metrics(
    logits: Float[Tensor, "M C"],
    targets: Int[Tensor, "M"],
    other_logits: Float[Tensor, "N C"],
    other_targets: Int[Tensor, "N"],
    *,
    miscoverage: float = 0.1,
) -> dict[str, Float[Tensor, ""]]:
    """What temperature scaling and conformal sets that are fitted on one split come to on another, as 0-d tensors.

    logits, targets              [M, C], [M] of the validation split
    other_logits, other_targets  [N, C], [N] of the split that is measured
    Returns  temperature, temperature_scaled_nll, ..._brier, ..._ece, ..._ece_equal_mass; lac_coverage, lac_set_size,
             aps_coverage, aps_set_size
    """
    temperature = best_temperature(logits, targets)
    log_p = (precise(other_logits) / temperature).log_softmax(-1)
    p = log_p.exp()
    confidence, correct = p.amax(-1), other_logits.argmax(-1) == other_targets
    values = {
        "temperature": temperature,
        "temperature_scaled_nll": nll(log_p, other_targets),
        "temperature_scaled_brier": brier(p, other_targets),
        "temperature_scaled_ece": ece(confidence, correct),
        "temperature_scaled_ece_equal_mass": ece_equal_mass(confidence, correct),
    }
    for name, score in (("lac", lac_scores), ("aps", aps_scores)):
        scores, others = (score(precise(z).softmax(-1)) for z in (logits, other_logits))
        threshold = conformal_threshold(of_targets(scores, targets), miscoverage)
        values[f"{name}_coverage"] = precise(of_targets(others, other_targets) <= threshold).mean()
        values[f"{name}_set_size"] = precise((others <= threshold).sum(-1)).mean()
    return nan_unless(logits.isfinite().all() & other_logits.isfinite().all(), values)


def best_temperature(logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"]) -> Float[Tensor, ""]:
    """The temperature T in [0.01, 100] that minimises the mean negative log-likelihood of softmax(logits / T).

    The likelihood is concave in s = 1 / T, so that its slope sum_i (logits_i[y_i] - sum_c p_ic logits_ic) has one
    change of sign, which bisection of log s finds, and Newton's method within what it leaves. Where everything is
    predicted rightly the slope never changes, and T is the lowest; where logits say less than nothing, the highest.
    Source  Guo et al. 2017, arXiv:1706.04599, section 4.2
    """
    logits = precise(logits)
    centred = logits - logits.gather(-1, targets.long().unsqueeze(-1))
    low, high = -math.log(HIGHEST_TEMPERATURE), -math.log(LOWEST_TEMPERATURE)
    middle, half = torch.full_like(centred.sum(), (low + high) / 2), (high - low) / 2
    for _ in range(HALVINGS):
        half /= 2
        slope = ((centred * middle.exp()).softmax(-1) * centred).sum()  # of the negative log-likelihood
        middle = torch.where(slope < 0, middle + half, middle - half)
    lowest, highest = middle - half, middle + half
    for _ in range(NEWTON_STEPS):
        s = middle.exp()
        p = (centred * s).softmax(-1)
        means = (p * centred).sum(-1, keepdim=True)
        change = s * (p * (centred - means).square()).sum()  # of the slope with log s
        middle = torch.where(change > 0, middle - means.sum() / change, middle).clamp(lowest, highest)
    return (-middle).exp()


def lac_scores(p: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    """1 - p of each class. Its sets are the smallest on average; some may be empty.

    Source  Sadinle, Lei and Wasserman 2019, arXiv:1609.00451: least ambiguous set-valued classifiers
    """
    return 1 - p


def aps_scores(p: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    """Of each class, the summed probability of all classes that are at least as probable, itself included.

    As 1 minus that of the less probable ones, so that the score of the whole set is 1 exactly.

    Source  Romano, Sesia and Candes 2020, arXiv:2006.02544: adaptive prediction sets, without their randomisation, so
            that coverage is above its level rather than at it; equal probabilities are taken together
    """
    ordered, order = p.contiguous().sort(-1)
    less = torch.cat([torch.zeros_like(ordered[..., :1]), ordered.cumsum(-1)], -1)  # before each place
    first, _ = blocks(ordered)
    return torch.zeros_like(p).scatter(-1, order, 1 - less.gather(-1, first))


def of_targets(scores: Float[Tensor, "N C"], targets: Int[Tensor, "N"]) -> Float[Tensor, "N"]:
    return scores.gather(-1, targets.long().unsqueeze(-1)).squeeze(-1)


def conformal_threshold(scores: Float[Tensor, "N"], miscoverage: float) -> Float[Tensor, ""]:
    """The ceil((N + 1) (1 - miscoverage))-th smallest score; infinite where there are too few, so that sets are whole.

    A new example's score is at most this with probability >= 1 - miscoverage, where it is exchangeable with the N.
    Source  Vovk, Gammerman and Shafer 2005; Papadopoulos et al. 2002: split (inductive) conformal prediction
    """
    place = math.ceil((len(scores) + 1) * (1 - miscoverage) - 1e-9)
    if place > len(scores):
        return torch.full_like(scores.sum(), math.inf)
    return scores.sort().values[place - 1 : place].sum()
