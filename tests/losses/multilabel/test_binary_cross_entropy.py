import math

import torch
import torch.nn.functional as F

from lossbench.losses.multilabel.binary_cross_entropy import binary_cross_entropy
from tests.losses.support import extreme, near, same, sample, stacked


def test_limit():  # scores of 0: log 2 for every label, whatever it is
    logits, labels = sample("logits", "labels")
    near(binary_cross_entropy(0 * logits, labels), math.log(2))


def test_oracle():  # torch's own, with its weights of the positives, also for labels between 0 and 1
    weights = torch.tensor([0.5, 1.0, 2.0, 0.0, 3.0], dtype=torch.float64)
    for chosen in (None, weights):

        def oracle(logits, labels, chosen=chosen):
            return F.binary_cross_entropy_with_logits(logits, labels, pos_weight=chosen, reduction="none").mean(-1)

        same(binary_cross_entropy, oracle, positive_weights=chosen)
        logits, labels = sample("logits", "labels")
        soft = 0.2 + 0.3 * labels
        near(binary_cross_entropy(logits, soft, positive_weights=chosen), oracle(logits, soft))


def test_hand():  # p = (3/4, 1/4), labels (1, 0): log(4/3) for each; weight 3 on the first: (3 + 1) / 2 of it
    logits = torch.tensor([[math.log(3), -math.log(3)]], dtype=torch.float64)
    labels = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    near(binary_cross_entropy(logits, labels), [math.log(4 / 3)])
    weights = torch.tensor([3.0, 5.0], dtype=torch.float64)
    near(binary_cross_entropy(logits, labels, positive_weights=weights), [2 * math.log(4 / 3)])


def test_extreme():  # each wrong label costs its score and has gradient -+1, shared by two labels
    logits, labels = torch.tensor([[-2e4, 2e4]]), torch.tensor([[1.0, 0.0]])
    values, gradients = extreme(binary_cross_entropy, logits, labels)
    near(values[0], [2e4])
    near(gradients[0], [[-0.5, 0.5]])
    values, gradients = extreme(binary_cross_entropy, -logits, labels)
    near(values[0], [0])
    near(gradients[0], [[0, 0]])


def test_stacked():
    stacked(binary_cross_entropy)
