"""Metrics of unlearning: how near a model is to one that never saw the forget set, and what still tells it."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.outliers import detection_metrics
from lossbench.metrics.ranking import nan_unless, precise
from lossbench.ops import kl_divergence, log1mexp, true_class_log_p

TERMS = 100  # of the series for the p-value


def retrained_metrics(
    logits: Float[Tensor, "N C"], targets: Int[Tensor, "N"], retrained_logits: Float[Tensor, "N M C"]
) -> dict[str, Float[Tensor, ""]]:
    """How a split is judged by the model and by M models that were trained without the forget set:

    retrained_divergence        KL(q || p) in nats, with p the model's probabilities and q the mean of theirs
    retrained_agreement         how often both have the same likeliest class
    retrained_margin_error      |m - m'|, with the margin m = log p_y / (1 - p_y) and m' the mean of theirs
    retrained_margin_error_p95  its 95th percentile over the examples; the others are means

    Source  the divergence: Zhang et al. 2024, arXiv:2404.05868, whose forget and retain distances it is. The margin:
            Georgiev et al. 2024, arXiv:2410.23232, who compare its distributions over many models of either kind
            (KLoM); here one model is compared with the mean of those
    """
    own, theirs = precise(logits).log_softmax(-1), precise(retrained_logits).log_softmax(-1)
    mixture = theirs.logsumexp(1) - math.log(theirs.shape[1])
    every = targets.unsqueeze(1).expand(theirs.shape[:2])
    error = (margins(logits, targets) - margins(retrained_logits, every).mean(1)).abs()
    values = {
        "retrained_divergence": kl_divergence(mixture, own).mean(),
        "retrained_agreement": precise(own.argmax(-1) == mixture.argmax(-1)).mean(),
        "retrained_margin_error": error.mean(),
        "retrained_margin_error_p95": error.sort().values[math.ceil(0.95 * len(error)) - 1],
    }
    return nan_unless(logits.isfinite().all() & retrained_logits.isfinite().all(), values)


def margins(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """log p_y / (1 - p_y): the logit of the target less the log-sum-exp of the others."""
    log_p = true_class_log_p(precise(logits), targets)
    return log_p - log1mexp(log_p)


def membership_metrics(
    forget_logps: Float[Tensor, "F"], test_logps: Float[Tensor, "N"]
) -> dict[str, Float[Tensor, ""]]:
    """membership_auroc: the probability that an example of the forget set has a larger likelihood than one of the test
    split, a tie counting half. 1/2 where nothing tells that it was trained on; below, that it was unlearned.
    """
    scores = precise(torch.cat([forget_logps, test_logps]))
    members = torch.arange(len(scores), device=scores.device) < len(forget_logps)
    return {"membership_auroc": detection_metrics(scores, members)["auroc"]}


def forget_quality_metrics(
    forget_logps: Float[Tensor, "F"], retrained_logps: Float[Tensor, "R"]
) -> dict[str, Float[Tensor, ""]]:
    """Of the two-sample Kolmogorov-Smirnov test, of the likelihoods of the forget set under the model and under models
    that were trained without it:

    forget_distance   its statistic, in [0, 1]; 0 where both are alike
    forget_quality    its p-value, asymptotically: 1 where nothing tells the two models apart

    Source  Maini et al. 2024, arXiv:2401.06121 (TOFU), of the truth ratio, which for one label of C is a monotone
            function of its likelihood, and so has the same test
    """
    first, second = precise(forget_logps).sort().values, precise(retrained_logps).sort().values
    places = torch.cat([first, second])
    below = [precise(torch.searchsorted(v, places, right=True)) / len(v) for v in (first, second)]
    statistic = (below[0] - below[1]).abs().max()
    root = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    values = {"forget_distance": statistic, "forget_quality": kolmogorov_survival(root * statistic)}
    return nan_unless(places.isfinite().all(), values)


def kolmogorov_survival(x: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """2 sum_k (-1)^(k-1) exp(-2 k^2 x^2): the probability that the Kolmogorov distribution exceeds x >= 0."""
    k = torch.arange(1, TERMS + 1, device=x.device, dtype=x.dtype)
    signs = 1 - 2 * ((k - 1) % 2)
    total = 2 * (signs * torch.exp(-2 * k.square() * x.square())).sum()
    return torch.where(x < 0.05, torch.ones_like(x), total.clamp(0, 1))  # below, the series is slow and 1 to all digits
