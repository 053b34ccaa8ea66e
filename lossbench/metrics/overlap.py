"""How much two sequences of tokens have in common: F1 of their n-grams, the measure that ROUGE-n counts.

Sequences are rows with a number of tokens that count, the first ones. Nothing waits for the device.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.metrics.ranking import precise


def ngram_f1(
    candidates: Int[Tensor, "*b T"],
    candidate_lengths: Int[Tensor, "*b"],
    references: Int[Tensor, "*b U"],
    reference_lengths: Int[Tensor, "*b"],
    n: int,
) -> Float[Tensor, "*b"]:
    """2 matches / (n-grams of one + n-grams of the other); an n-gram matches as often as both have it. 1 where neither
    has one."""
    one, one_counts = _ngrams(candidates, candidate_lengths, n)
    other, other_counts = _ngrams(references, reference_lengths, n)
    place = torch.arange(one.shape[-2], device=one.device)
    same = (one.unsqueeze(-2) == one.unsqueeze(-3)).all(-1) & one_counts.unsqueeze(-2)
    before = (same & (place.unsqueeze(-1) > place)).sum(-1)  # how often it was there already
    known = ((one.unsqueeze(-2) == other.unsqueeze(-3)).all(-1) & other_counts.unsqueeze(-2)).sum(-1)
    matches = (one_counts & (before < known)).sum(-1)
    total = one_counts.sum(-1) + other_counts.sum(-1)
    return torch.where(total == 0, 1.0, 2 * precise(matches) / total.clamp(min=1))


def overlap(
    candidates: Int[Tensor, "*b T"],
    candidate_lengths: Int[Tensor, "*b"],
    references: Int[Tensor, "*b U"],
    reference_lengths: Int[Tensor, "*b"],
) -> Float[Tensor, "*b"]:
    """Mean of the F1 of single tokens and of pairs of neighbours, in [0, 1]."""
    given = (candidates, candidate_lengths, references, reference_lengths)
    return (ngram_f1(*given, 1) + ngram_f1(*given, 2)) / 2


def length_before(tokens: Int[Tensor, "*b T"], end: int | None) -> Int[Tensor, "*b"]:
    """Tokens before the first ``end``; all where it is not there."""
    if end is None:
        return torch.full(tokens.shape[:-1], tokens.shape[-1], device=tokens.device)
    return ((tokens == end).cumsum(-1) == 0).sum(-1)


def _ngrams(tokens: Tensor, lengths: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """[*, places, n] all n-grams, and [*, places] which of them are among the tokens that count."""
    padded = torch.nn.functional.pad(tokens, (0, n - 1), value=-1)
    grams = padded.unfold(-1, n, 1)
    return grams, torch.arange(grams.shape[-2], device=tokens.device) + n <= lengths.unsqueeze(-1)
