import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.logit_adjustment import logit_adjustment
from tests.losses.support import near, same


def test_limit():
    same(logit_adjustment, lambda logits, targets: cross_entropy(logits, targets), weight=0.0)


def test_oracle():  # its pairwise form: log(1 + sum over the others of (pi_c / pi_y)^tau exp(f_c - f_y)), by a loop
    def equation(logits, targets, class_counts):
        losses = []
        for row, y in zip(logits, targets, strict=True):
            others = [c for c in range(len(row)) if c != y]
            ratios = [(class_counts[c] / class_counts[y]) ** 1.5 * torch.exp(row[c] - row[y]) for c in others]
            losses.append(torch.log(1 + sum(ratios)))
        return torch.stack(losses)

    same(logit_adjustment, equation, weight=1.5)


def test_hand():  # n = 3, 1, equal scores, weight 2: odds 9 to 1
    logits, counts = torch.zeros(2, 2, dtype=torch.float64), torch.tensor([3.0, 1.0], dtype=torch.float64)
    near(logit_adjustment(logits, torch.tensor([0, 1]), counts, weight=2.0), [math.log(10 / 9), math.log(10)])
