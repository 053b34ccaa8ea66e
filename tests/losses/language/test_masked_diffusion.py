import math

import torch
from torch.nn import functional as F

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.masked_diffusion import masked_diffusion
from tests.losses.support import near, sample

WORDS = ("denoised_logits", "targets", "hidden", "noise_level")


def test_limit():  # everything hidden for certain: cross-entropy; nothing hidden: 0
    logits, targets, hidden, level = sample(*WORDS, tokens=True)
    everything = torch.ones_like(hidden)
    for weighting in ("level", "fraction"):
        values = masked_diffusion(logits, targets, everything, torch.ones_like(level), weighting=weighting)
        near(values, cross_entropy(logits, targets))
        near(masked_diffusion(logits, targets, ~everything, level, weighting=weighting), torch.zeros(6, 7))


def test_oracle():  # a loop; by fraction the mean of a sequence is torch's mean over its hidden tokens
    logits, targets, hidden, level = sample(*WORDS, tokens=True)
    by_level = masked_diffusion(logits, targets, hidden, level)
    by_fraction = masked_diffusion(logits, targets, hidden, level, weighting="fraction")
    for row in range(6):
        kept = hidden[row]
        near(by_fraction[row].mean(), F.cross_entropy(logits[row, kept], targets[row, kept]))
        summed = F.cross_entropy(logits[row, kept], targets[row, kept], reduction="sum")
        near(by_level[row].sum(), summed / level[row])


def test_unbiased():  # the mean over what is hidden, exactly: every subset with its probability gives cross-entropy
    logits, targets = sample("denoised_logits", "targets", tokens=True, B=1, T=4)
    total = 0.0
    for subset in range(16):
        hidden = torch.tensor([[bool(subset >> i & 1) for i in range(4)]])
        chance = math.prod(0.3 if h else 0.7 for h in hidden[0].tolist())
        total += chance * masked_diffusion(logits, targets, hidden, torch.tensor([0.3]).double()).sum().item()
    assert abs(total - cross_entropy(logits, targets).sum().item()) < 1e-6


def test_hand():  # four classes alike, one of two hidden at a level of a quarter: 4 log 4, or 2 log 4 by fraction
    given = torch.zeros(1, 2, 4).double(), torch.zeros(1, 2, dtype=torch.long), torch.tensor([[True, False]])
    level = torch.tensor([0.25]).double()
    near(masked_diffusion(*given, level), [[4 * math.log(4), 0.0]])
    near(masked_diffusion(*given, level, weighting="fraction"), [[2 * math.log(4), 0.0]])
