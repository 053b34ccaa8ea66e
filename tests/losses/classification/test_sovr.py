import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.sovr import sovr
from tests.losses.support import extreme, near, sample, stacked


def one_versus_rest(logits, targets):
    """The sum of C binary cross-entropies with one-hot labels."""
    labels = torch.nn.functional.one_hot(targets, logits.shape[1]).to(logits.dtype)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(1)


def test_limit():  # fraction = 0 is cross-entropy, fraction = 1 is one-versus-the-rest everywhere
    logits, targets = sample("logits", "targets")
    near(sovr(logits, targets, fraction=0.0), cross_entropy(logits, targets))
    near(sovr(logits, targets, fraction=1.0, weight=0.3), 0.3 * one_versus_rest(logits, targets))


def test_oracle():  # the switched ones by sorting the margins in Python
    logits, targets = sample("logits", "targets")
    margins = [logits[i, y] - max(logits[i, c] for c in range(5) if c != y) for i, y in enumerate(targets)]
    expected = cross_entropy(logits, targets)
    for i in sorted(range(6), key=margins.__getitem__)[:3]:
        expected[i] = 0.4 * one_versus_rest(logits, targets)[i]
    near(sovr(logits, targets, fraction=0.6, weight=0.4), expected)  # 0.6 * 6 = 3.6, rounded down


def test_hand():  # scores (0, log 3), classes 1 and 0: margins log 3 and -log 3, so the second is switched:
    # softplus(-0) + softplus(log 3) = log 2 + log 4; the first has -log(3/4)
    logits = torch.tensor([[0.0, math.log(3)]] * 2, dtype=torch.float64)
    near(sovr(logits, torch.tensor([1, 0]), fraction=0.5, weight=2.0), [math.log(4 / 3), 2 * math.log(8)])


def test_number():  # floor(fraction B), and not one less where the product is rounded: 0.29 * 100 = 28.999999999999996
    logits = torch.randn(100, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.zeros(100, dtype=torch.long)
    for fraction, number in ((0.29, 29), (0.3, 30), (0.7, 70), (0.999, 99), (1.0, 100)):
        switched = sovr(logits, targets, fraction=fraction, weight=0.0) == 0
        assert switched.sum() == number


def test_ties():  # of equal margins the first examples are switched, and exactly so many
    logits, targets = torch.zeros(6, 5, dtype=torch.float64), torch.arange(5).repeat(2)[:6]
    assert (sovr(logits, targets, fraction=0.5, weight=0.0) == 0).tolist() == [True] * 3 + [False] * 3


def test_extreme():  # wrong by 2e4: cross-entropy 2e4; the other softplus(2e4) for one class and log 2 for two
    logits, targets = 2e4 * torch.eye(3)[:2], torch.tensor([1, 2])
    values, gradients = extreme(lambda z: sovr(z, targets, fraction=0.5, weight=1.0), logits)
    near(values[0], [2e4 + 2 * math.log(2), 2e4], 1e-6)
    assert gradients[0].abs().amax(1).min() > 0.5


def test_stacked():
    stacked(sovr, fraction=[0.2, 0.5, 1.0], weight=[0.2, 0.4, 1.0])
