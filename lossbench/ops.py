"""Numerics that several losses share. Every function is differentiable, vmappable and safe in its limits."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

LOG_HALF = math.log(0.5)


def stopgrad(tensor: Tensor) -> Tensor:
    """The value without its gradient. The one place for it, so that the tests can replay it."""
    return tensor.detach()


def true_class_log_p(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """log softmax(logits)[targets], the log-probability of the true class."""
    return logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def target_logps(
    logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"], mask: Bool[Tensor, "*b"]
) -> Float[Tensor, "*b"]:
    """Log-probability of each target, 0 where the mask is false; at least in float32."""
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    log_p = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
    return torch.where(mask, log_p, 0.0)


def bounded_log_ratio(log_ratio: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Within +-20, where the gradient ends: the ratio is then finite in every precision that has float32's range."""
    return log_ratio.clamp(-20.0, 20.0)


def margin(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """By how much the true class leads: logits[y] - max_{c != y} logits[c]. Of two classes, their difference."""
    true = targets.unsqueeze(-1) == torch.arange(logits.shape[-1], device=logits.device)
    best_other = logits.masked_fill(true, -torch.inf).amax(-1)
    return logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - best_other


def log1mexp(log_p: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """log(1 - exp(log_p)) for log_p < 0, accurate at both ends (Maechler 2012); log_p = 0 is clamped to stay finite."""
    log_p = log_p.clamp(max=-torch.finfo(log_p.dtype).tiny)
    near_zero = log_p > LOG_HALF
    # The branch that is not taken gets a harmless argument: where() would pass its infinite gradient on as NaN.
    expm1 = torch.log(-torch.expm1(torch.where(near_zero, log_p, LOG_HALF)))
    log1p = torch.log1p(-torch.exp(torch.where(near_zero, LOG_HALF, log_p)))
    return torch.where(near_zero, expm1, log1p)


def exp_then_tangent(x: Tensor, limit: float = 60.0) -> Tensor:
    """exp(x) up to the limit, beyond it its tangent there: for float32 still finite, and with a gradient."""
    return x.clamp(max=limit).exp() * (1 + (x - limit).clamp(min=0))


def one_against_rest(
    logits: Float[Tensor, "B C"], targets: Int[Tensor, "B"]
) -> tuple[Float[Tensor, "B K"], Bool[Tensor, "B K"]]:
    """(scores, positives) of K binary problems: class 1 against class 0 where there are two classes, otherwise each
    class against all others together. A score is the log-odds of the class."""
    if logits.shape[-1] == 2:
        return logits[:, 1:] - logits[:, :1], targets.unsqueeze(-1) == 1
    log_p = logits.log_softmax(-1)
    classes = torch.arange(logits.shape[-1], device=targets.device)
    return log_p - log1mexp(log_p), targets.unsqueeze(-1) == classes


def safe_norm(tensor: Tensor, dim: int | tuple[int, ...] = -1, keepdim: bool = False) -> Tensor:
    """Euclidean norm whose gradient at 0 is 0 instead of NaN."""
    squared = tensor.square().sum(dim, keepdim=keepdim)
    zero = squared == 0
    return torch.where(zero, torch.zeros_like(squared), torch.where(zero, torch.ones_like(squared), squared).sqrt())


def normalize(tensor: Tensor, dim: int = -1) -> Tensor:
    """Unit Euclidean norm along ``dim``; the zero vector stays zero, with zero gradient."""
    norm = safe_norm(tensor, dim, keepdim=True)
    return tensor / torch.where(norm == 0, torch.ones_like(norm), norm)


def masked_mean(values: Tensor, mask: Tensor | None = None, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """Mean of the values where the mask is true, 0 where it is nowhere true; masked values may be anything, NaN too."""
    if mask is None:
        return values.mean() if dim is None else values.mean(dim)
    kept = torch.where(mask, values, torch.zeros_like(values))
    if dim is None:
        return kept.sum() / mask.sum().clamp(min=1)
    return kept.sum(dim) / mask.sum(dim).clamp(min=1)


def centred_products(a: Float[Tensor, "*b"], b: Float[Tensor, "*b"], mask: Bool[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """(a - mean a) (b - mean b) of each element, whose mean is the covariance; means where the mask is true."""
    return (a - masked_mean(a, mask)) * (b - masked_mean(b, mask))


def first_in_order(scores: Float[Tensor, "*b"], mask: Bool[Tensor, "*b"], number: Tensor) -> Bool[Tensor, "*b"]:
    """Where the ``number`` largest scores are among those under the mask, all of them where they are fewer; of equal
    scores the first ones."""
    order = torch.where(mask, scores, -torch.inf).flatten().argsort(descending=True, stable=True)
    return (order.argsort().view(scores.shape) < number) & mask


def one_hot(targets: Int[Tensor, "*b"], num_classes: int, dtype: torch.dtype = torch.float32) -> Float[Tensor, "*b C"]:
    """Indicators of the classes, by comparison: works under vmap, for every dtype."""
    return (targets.unsqueeze(-1) == torch.arange(num_classes, device=targets.device)).to(dtype)


def kl_divergence(log_p: Float[Tensor, "*b C"], log_q: Float[Tensor, "*b C"]) -> Float[Tensor, "*b"]:
    """KL(p || q) = sum_c p_c (log p_c - log q_c) from log-probabilities; a class whose p_c underflows adds 0."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def simplex_threshold(scores: Float[Tensor, "*b C"]) -> Float[Tensor, "*b 1"]:
    """The tau for which max(scores - tau, 0) sums to 1: the Euclidean projection onto the probability simplex.

    With the scores in descending order, k is the last for which 1 + k z_(k) > z_(1) + ... + z_(k), and tau is
    (z_(1) + ... + z_(k) - 1) / k (Martins and Astudillo 2016, arXiv:1602.02068). NaN where a score is NaN.
    """
    ordered = scores.sort(-1, descending=True).values
    sums = ordered.cumsum(-1)
    places = torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    k = (1 + places * ordered > sums).sum(-1, keepdim=True).clamp(min=1)  # no comparison with NaN is true
    return (sums.gather(-1, k - 1) - 1) / k


def linear_log_p(
    features: Float[Tensor, "*b D"],
    head_weight: Float[Tensor, "C D"],
    targets: Int[Tensor, "*b"],
    softcap: Float[Tensor, ""] | None = None,
    *,
    tokens_at_once: int | None = None,
    half_precision: bool = False,
) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"]]:
    """(log softmax(logits)[targets], log sum_c exp(logits_c)) of logits = features head_weight^T that are never all
    there: they are made for some tokens at a time, and again for the gradient, which is exact.

    softcap          the logits are softcap tanh(logits / softcap)
    tokens_at_once   None: so many that their logits are 2**24 numbers
    half_precision   bfloat16 matrix products, as a head under autocast has them; sums are those of the features' dtype
    """
    flat, rows = features.flatten(0, -2), targets.flatten()
    at_once = tokens_at_once or max(1, 2**24 // head_weight.shape[0])
    log_normalizer, of_target = _LinearLogSumExp.apply(flat, head_weight, rows, softcap, at_once, half_precision)
    return (of_target - log_normalizer).view(targets.shape), log_normalizer.view(targets.shape)


class _LinearLogSumExp(torch.autograd.Function):
    """(log sum_c exp(a_c), a[target]) of the capped logits a = s tanh(h W^T / s), a slice of the tokens at a time."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        features: Tensor,
        weight: Tensor,
        targets: Tensor,
        softcap: Tensor | None,
        tokens_at_once: int,
        half_precision: bool,
    ) -> tuple[Tensor, Tensor]:
        made = []
        for h, own in zip(features.split(tokens_at_once), targets.split(tokens_at_once), strict=True):
            made.append(_log_sum_and_chosen(_capped(_product(h, weight.mT, half_precision), softcap), own))
        log_sums, chosen = zip(*made, strict=True)
        return torch.cat(log_sums), torch.cat(chosen)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
        features, weight, targets, softcap, ctx.tokens_at_once, ctx.half_precision = inputs
        ctx.save_for_backward(features, weight, targets, softcap, output[0])

    @staticmethod
    def backward(ctx: Any, of_sum: Tensor, of_chosen: Tensor) -> tuple:  # type: ignore[override]
        features, weight, targets, softcap, log_sums = ctx.saved_tensors
        half = ctx.half_precision
        of_features = of_weight = None
        parts = [t.split(ctx.tokens_at_once) for t in (features, targets, log_sums, of_sum, of_chosen)]
        start = 0
        for h, *own in zip(*parts, strict=True):
            gradient = _logit_gradient(_product(h, weight.mT, half), softcap, *own)
            made = _product(gradient, weight, half)
            if of_features is None or of_weight is None:
                # The first ones give the others their place: results that pile up between large tensors that come and
                # go would leave the heap full of holes.
                of_features = made.new_empty((len(features), made.shape[-1]))
                of_weight = _product(gradient.mT, h, half)
            elif half:
                of_weight.add_(_product(gradient.mT, h, half))
            else:
                of_weight.addmm_(gradient.mT, h)
            of_features[start : start + len(h)] = made
            start += len(h)
            del gradient  # before the next one is made
        return of_features, of_weight, None, None, None, None


def _log_sum_and_chosen(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return logits.logsumexp(-1), logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def _logit_gradient(
    logits: Tensor, softcap: Tensor | None, targets: Tensor, log_sums: Tensor, of_sum: Tensor, of_chosen: Tensor
) -> Tensor:
    """The gradient of the logits before they are capped, in their own memory where that is possible."""
    slope = None
    if softcap is not None:
        ratio = logits.div_(softcap).tanh_()
        slope = 1 - ratio.square()
        logits = ratio.mul_(softcap)
    gradient = logits.sub_(log_sums.unsqueeze(-1)).exp_().mul_(of_sum.unsqueeze(-1))
    gradient.scatter_add_(-1, targets.unsqueeze(-1), of_chosen.unsqueeze(-1))
    return gradient if slope is None else gradient.mul_(slope)


def _product(a: Tensor, b: Tensor, half_precision: bool) -> Tensor:
    return (a.bfloat16() @ b.bfloat16()).to(a.dtype) if half_precision else a @ b


def _capped(logits: Tensor, softcap: Tensor | None) -> Tensor:
    return logits if softcap is None else softcap * (logits / softcap).tanh()
