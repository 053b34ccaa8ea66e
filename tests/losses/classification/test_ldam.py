import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.ldam import ldam
from tests.losses.support import near, same


def test_limit():  # without a margin it is cross-entropy; equal classes all get the largest margin
    same(ldam, lambda logits, targets: cross_entropy(logits, targets), max_margin=0.0)
    logits, targets = torch.randn(6, 5, dtype=torch.float64), torch.randint(5, (6,))
    lowered = logits.clone()
    lowered[torch.arange(6), targets] -= 3 * 0.5
    near(ldam(logits, targets, torch.full((5,), 7.0), scale=3.0), cross_entropy(lowered, targets))


def test_oracle():  # the paper's two steps by a loop: C so that the largest margin is max_margin, then cross-entropy
    def equation(logits, targets, class_counts):
        margins = [float(n) ** -0.25 for n in class_counts]
        constant = 0.4 / max(margins)
        losses = []
        for row, y in zip(logits, targets, strict=True):
            scores = [float(z) - (20 * constant * margins[j] if j == y else 0) for j, z in enumerate(row)]
            losses.append(math.log(sum(map(math.exp, scores))) - scores[int(y)])
        return torch.tensor(losses, dtype=torch.float64)

    same(ldam, equation, max_margin=0.4, scale=20.0)


def test_hand():  # n = 16, 1: margins 0.25 and 0.5 times scale 2 are 0.5 and 1: differences of 0.5 and 1 are used up
    logits = torch.tensor([[0.5, 0.0], [0.0, 1.0]], dtype=torch.float64)
    counts = torch.tensor([16.0, 1.0], dtype=torch.float64)
    near(ldam(logits, torch.tensor([0, 1]), counts, scale=2.0), [math.log(2), math.log(2)])
