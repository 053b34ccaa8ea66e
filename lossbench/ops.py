"""Numerics that several losses share. Every function is differentiable, vmappable and safe in its limits."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

LOG_HALF = math.log(0.5)


def stopgrad(tensor: Tensor) -> Tensor:
    """The value without its gradient. The one place for it, so that the tests can replay it."""
    return tensor.detach()


def true_class_log_p(logits: Float[Tensor, "*b C"], targets: Int[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """log softmax(logits)[targets], the log-probability of the true class."""
    return logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def log1mexp(log_p: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """log(1 - exp(log_p)) for log_p < 0, accurate at both ends (Maechler 2012); log_p = 0 is clamped to stay finite."""
    log_p = log_p.clamp(max=-torch.finfo(log_p.dtype).tiny)
    near_zero = log_p > LOG_HALF
    # The branch that is not taken gets a harmless argument: where() would pass its infinite gradient on as NaN.
    expm1 = torch.log(-torch.expm1(torch.where(near_zero, log_p, LOG_HALF)))
    log1p = torch.log1p(-torch.exp(torch.where(near_zero, LOG_HALF, log_p)))
    return torch.where(near_zero, expm1, log1p)


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


def one_hot(targets: Int[Tensor, "*b"], num_classes: int, dtype: torch.dtype = torch.float32) -> Float[Tensor, "*b C"]:
    """Indicators of the classes, by comparison: works under vmap, for every dtype."""
    return (targets.unsqueeze(-1) == torch.arange(num_classes, device=targets.device)).to(dtype)


def kl_divergence(log_p: Float[Tensor, "*b C"], log_q: Float[Tensor, "*b C"]) -> Float[Tensor, "*b"]:
    """KL(p || q) = sum_c p_c (log p_c - log q_c) from log-probabilities; a class whose p_c underflows adds 0."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def simplex_threshold(scores: Float[Tensor, "*b C"]) -> Float[Tensor, "*b 1"]:
    """The tau for which max(scores - tau, 0) sums to 1: the Euclidean projection onto the probability simplex.

    With the scores in descending order, k is the last for which 1 + k z_(k) > z_(1) + ... + z_(k), and tau is
    (z_(1) + ... + z_(k) - 1) / k (Martins and Astudillo 2016, arXiv:1602.02068, proposition 1).
    """
    ordered = scores.sort(-1, descending=True).values
    sums = ordered.cumsum(-1)
    places = torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    k = (1 + places * ordered > sums).sum(-1, keepdim=True)
    return (sums.gather(-1, k - 1) - 1) / k
