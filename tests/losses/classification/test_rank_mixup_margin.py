import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.rank_mixup_margin import rank_mixup_margin
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("logits", "targets", "mixed_logits", "mixing_coefficients")


def test_limit():  # weight 0 is cross-entropy; a margin that every pair keeps costs nothing, and so do mixes of a class
    logits, targets, mixed, coefficients = sample(*WORDS)
    near(sum(rank_mixup_margin(*sample(*WORDS), weight=0.0).values()), cross_entropy(logits, targets))
    near(rank_mixup_margin(logits, targets, mixed, coefficients, margin=-1e3)["ranking"], 0.0)
    near(rank_mixup_margin(logits, targets, mixed, torch.ones_like(coefficients))["ranking"], 0.0)


def test_oracle():  # torch's margin_ranking_loss of each pair: the input is to rank above the mix
    for seed in range(3):
        logits, targets, mixed, coefficients = sample(*WORDS, seed=seed)
        coefficients[0, :3] = 1.0  # both inputs of one class
        pairs = torch.nn.functional.margin_ranking_loss(
            logits.amax(-1, keepdim=True).expand(mixed.shape[:2]),
            mixed.amax(-1),
            torch.ones(mixed.shape[:2]),
            margin=0.5,
            reduction="none",
        )
        expected = [
            0.3 * sum(value for value, a in zip(row, own, strict=True) if a < 1) / len(row)
            for row, own in zip(pairs.tolist(), coefficients.tolist(), strict=True)
        ]
        near(rank_mixup_margin(logits, targets, mixed, coefficients, margin=0.5, weight=0.3)["ranking"], expected)


def test_hand():
    # Largest score 3; mixes 2, 4 and, of one class, 9. Margin 2: 1 + 3 + nothing, over three mixes: 4/3, times 0.1.
    logits = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    mixed = torch.tensor([[[2.0, 1], [0, 4], [9, 0]]], dtype=torch.float64)
    terms = rank_mixup_margin(logits, torch.tensor([0]), mixed, torch.tensor([[0.7, 0.6, 1.0]]))
    near(terms["ranking"], [0.4 / 3])
    near(terms["cross_entropy"], [math.log1p(math.exp(-3))])


def test_extreme():  # the mix scores 4e4 more than the input
    logits, targets = torch.tensor([[-2e4, -2e4]]), torch.tensor([0])
    values, gradients = extreme(
        rank_mixup_margin, logits, targets, -logits.unsqueeze(1), torch.tensor([[0.5]]), margin=0.0, weight=1.0
    )
    near(values[1], [4e4])
    near(gradients[1].sum(), 1.0)


def test_stacked():
    stacked(rank_mixup_margin, margin=[0.0, 2.0, -1.0], weight=[0.0, 0.1, 2.0])
