"""Hamming noise: some sequences are replaced by random ones, the nearer to the original the likelier (RAML).

    with probability alpha, y ~ exp(-d(y, y*) / temperature)        d: the tokens in which y and y* differ

    Each token that counts is then another one of V with probability a / (1 + a), a = (V - 1) exp(-1 / temperature),
    independently: as many differ as by drawing d with P(d) ~ C(T, d) (V - 1)^d exp(-d / temperature) first.

    The expected loss is (1 - alpha) times that of the originals and alpha times that of the random ones.

alpha        in [0, 1]: part of the sequences that is drawn
temperature  > 0 (the paper's tau)
V            the tokens that are targets in this batch; the inputs that follow from targets are replaced with them
Paper        Elbayad et al. 2018, arXiv:1805.05062, with the words of the batch; Norouzi et al. 2016, arXiv:1609.00150
Differs      the paper also weighs the draws by rewards such as BLEU and CIDEr, and its lazy form keeps the inputs as
             they are; neither is here. The authors' code draws the places with replacement
"""

import math
from typing import Annotated

import torch
from annotated_types import Gt, Interval
from torch import Generator, Tensor

from lossbench.augmentations.augmentation import Batch
from lossbench.errors import UsageError


def hamming_noise(
    batch: Batch,
    generator: Generator,
    *,
    alpha: Annotated[float, Interval(ge=0, le=1)] = 0.3,
    temperature: Annotated[float, Gt(0)] = 0.3,
) -> Batch:
    x, targets = batch["x"], batch.get("targets")
    if targets is None or targets.ndim != 2 or targets.shape != x.shape:
        raise UsageError(
            "augmentation=hamming_noise needs sequences with a target at each token. Choose a data set of tokens, such "
            "as dataset=key_symbols, or leave it out."
        )
    mask = batch.get("mask", torch.ones_like(targets, dtype=torch.bool))
    shape, device = targets.shape, targets.device
    other, known = _others(targets, mask, torch.rand(shape, generator=generator, device=device))
    odds = (known - 1) * math.exp(-1 / temperature)
    drawn = torch.rand((len(targets), 1), generator=generator, device=device) < alpha
    changed = torch.rand(shape, generator=generator, device=device) < odds / (1 + odds)
    changed &= drawn & mask
    new = torch.where(changed, other, targets)
    after = x.clone()
    after[:, 1:] = torch.where(changed[:, :-1], new[:, :-1].to(x.dtype), x[:, 1:])
    return {**batch, "x": after, "targets": new}


def _others(targets: Tensor, mask: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """A token for each place, another one than is there, each of those that count somewhere equally likely; and [] how
    many there are. Without reading a number back: the different tokens are found by sorting."""
    flat = torch.where(mask, targets, targets.max() + 1).flatten()  # what does not count comes last
    ordered, order = flat.sort()
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    first &= mask.flatten()[order]
    known = first.sum()
    rank = torch.empty_like(order).scatter_(0, order, first.cumsum(0) - 1)  # of each place's own token
    table = ordered[(~first).long().sort(stable=True).indices]  # the different ones, then anything
    pick = (uniform.flatten() * (known - 1)).long()
    pick = pick + (pick >= rank)  # all but its own
    return table[pick.clamp(max=len(table) - 1)].view(targets.shape), known
