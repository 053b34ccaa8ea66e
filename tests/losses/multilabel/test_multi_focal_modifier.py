import math

import torch

from lossbench.losses.multilabel.asymmetric import asymmetric
from lossbench.losses.multilabel.binary_cross_entropy import binary_cross_entropy
from lossbench.losses.multilabel.multi_focal_modifier import multi_focal_modifier
from tests.losses.support import near, same

OFF = {"gamma_positive": 0.0, "gamma_negative": 0.0, "weight_positive": 0.0, "weight_negative": 0.0}


def test_limit():  # without rarity the asymmetric loss; with equal labels one whose exponents are larger by the weights
    plain = {"gamma_negative": 2.0, "weight_negative": 0.0}
    same(multi_focal_modifier, lambda logits, labels: asymmetric(logits, labels, gamma_negative=2.0), **plain)
    same(multi_focal_modifier, lambda logits, labels: binary_cross_entropy(logits, labels), clip=0.0, **OFF)
    logits, labels = torch.randn(6, 5, dtype=torch.float64), (torch.rand(6, 5) < 0.4).double()
    expected = asymmetric(logits, labels, gamma_positive=0.5, gamma_negative=4.0)
    near(multi_focal_modifier(logits, labels, torch.full((5,), 9.0).double(), weight_positive=0.5), expected)


def test_oracle():  # the equations by a loop
    def equation(logits, labels, class_counts):
        losses = []
        for z, y in zip(logits.flatten(0, -2).tolist(), labels.flatten(0, -2).tolist(), strict=True):
            total = 0.0
            for c in range(5):
                p = 1 / (1 + math.exp(-z[c]))
                q = max(p - 0.1, 0)
                rarity = (1 - math.log(float(class_counts[c] / class_counts.max()))) ** 0.4
                total -= y[c] * (1 - p) ** (0.3 + 0.7 * rarity) * math.log(p)
                total -= (1 - y[c]) * q ** (2 + 1.5 * rarity) * math.log(1 - q)
            losses.append(total / 5)
        return torch.tensor(losses, dtype=torch.float64)

    options = {"gamma_positive": 0.3, "gamma_negative": 2.0, "weight_positive": 0.7, "weight_negative": 1.5}
    same(multi_focal_modifier, equation, power=0.4, clip=0.1, **options)


def test_hand():  # p = 1/2, no clip: n = e and 1 have rarity 1 and 2, so the exponents of these negatives are 1 and 2
    options = {**OFF, "weight_negative": 1.0, "power": 1.0, "clip": 0.0}
    counts = torch.tensor([math.e, 1.0], dtype=torch.float64)
    found = multi_focal_modifier(torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, 2), counts, **options)
    near(found, [(1 / 2 + 1 / 4) * math.log(2) / 2])
