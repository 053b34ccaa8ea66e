import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.multilabel.multilabel_softmax import multilabel_softmax
from lossbench.ops import one_hot
from tests.losses.support import near, same, sample


def test_limit():  # one label: cross-entropy; none: 0
    logits, targets = sample("logits", "targets")
    near(multilabel_softmax(logits, one_hot(targets, 5, torch.float64)), cross_entropy(logits, targets))
    near(multilabel_softmax(logits, torch.zeros_like(logits)), torch.zeros(6))


def test_oracle():  # the mean of the cross-entropies of its labels, by a loop
    def equation(logits, labels):
        losses = []
        for z, y in zip(logits, labels, strict=True):
            own = [cross_entropy(z, c) for c in y.nonzero().flatten()]
            losses.append(sum(own) / len(own) if own else z.sum() * 0)
        return torch.stack(losses)

    same(multilabel_softmax, equation)


def test_hand():  # probabilities 1/4, 3/4, both labels: (log 4 + log 4/3) / 2
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    near(multilabel_softmax(logits, torch.ones(1, 2)), [(math.log(4) + math.log(4 / 3)) / 2])
