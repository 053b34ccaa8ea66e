import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from lossbench.losses.multilabel.macro_auc import macro_auc
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # a perfect order with large margins costs nothing; equal scores cost log 2
    logits, labels = sample("logits", "labels", B=40)
    ordered = (2 * labels - 1) * (1 + logits.abs())  # every positive above every negative
    assert roc_auc_score(labels, ordered, average="macro") == 1
    near(macro_auc(1e3 * ordered, labels), 0)
    near(macro_auc(torch.zeros_like(logits), labels), math.log(2))


def test_oracle():  # written out over labels and pairs; a label without positives is left out
    logits, labels = sample("logits", "labels", B=12)
    labels[:, 3] = 0
    per_label = []
    for k in range(5):
        scores = [(row[k].item(), y[k].item()) for row, y in zip(logits, labels, strict=True)]
        positives, negatives = [s for s, y in scores if y], [s for s, y in scores if not y]
        if positives and negatives:
            total = sum(math.log(1 + math.exp(-(p - n))) for p in positives for n in negatives)
            per_label.append(total / (len(positives) * len(negatives)))
    assert len(per_label) == 4
    near(macro_auc(logits, labels), sum(per_label) / 4)


def test_hand():  # one positive, negatives below by log 3 and above by log 3: (log(4/3) + log 4) / 2
    logits = torch.tensor([[0.0], [-math.log(3)], [math.log(3)]], dtype=torch.float64)
    labels = torch.tensor([[1.0], [0.0], [0.0]], dtype=torch.float64)
    near(macro_auc(logits, labels), math.log(16 / 3) / 2)


def test_invariance():  # a shift of all scores of a label changes nothing
    logits, labels = sample("logits", "labels")
    shift = torch.arange(5, dtype=torch.float64)
    near(macro_auc(logits + shift, labels), macro_auc(logits, labels))


@pytest.mark.parametrize("tile", [1, 5, 100])
def test_tiles(tile):  # value and gradient of all pairs at once
    logits, labels = sample("logits", "labels", B=12)
    logits.requires_grad_()
    tiled, plain = macro_auc(logits, labels, tile=tile), macro_auc(logits, labels)
    near(tiled, plain, tolerance=1e-12)
    near(*(torch.autograd.grad(value, logits)[0] for value in (tiled, plain)), tolerance=1e-12)


def test_extreme():  # a wrong pair costs its difference; without pairs 0
    logits = torch.tensor([[-2e4], [2e4]])
    values, gradients = extreme(macro_auc, logits, torch.tensor([[1.0], [0.0]]))
    near(values[0], 4e4)
    near(gradients[0], [[-1], [1]])
    for labels in (torch.zeros(2, 1), torch.ones(2, 1)):
        values, gradients = extreme(macro_auc, logits, labels)
        near(values[0], 0)
        near(gradients[0], [[0], [0]])


def test_stacked():
    stacked(macro_auc)
    stacked(lambda logits, labels: macro_auc(logits, labels, tile=4))
