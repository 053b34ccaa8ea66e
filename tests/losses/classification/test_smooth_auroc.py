import math

import torch
from sklearn.metrics import roc_auc_score

from lossbench.losses.classification.smooth_auroc import smooth_auroc
from tests.losses.support import extreme, near, sample


def test_limit():  # a small temperature: 1 - AUROC, of class 1 for two classes, the mean over classes for more
    logits, targets = sample("logits", "targets", B=40)
    binary, labels = logits[:, :2], targets % 2
    expected = 1 - roc_auc_score(labels, binary[:, 1] - binary[:, 0])
    near(smooth_auroc(binary, labels, temperature=1e-6), expected)
    near(smooth_auroc(-binary, labels, temperature=1e-6), 1 - expected)
    expected = 1 - roc_auc_score(targets, logits.softmax(-1), multi_class="ovr", average="macro")
    near(smooth_auroc(logits, targets, temperature=1e-6), expected)


def test_oracle():  # the pairs in loops
    logits, targets = sample("logits", "targets", B=12)
    p, terms = logits.softmax(-1), []
    for c in range(5):
        scores = torch.log(p[:, c] / (1 - p[:, c])).tolist()
        wrong = [
            1 / (1 + math.exp((scores[i] - scores[j]) / 0.5))
            for i in range(12)
            for j in range(12)
            if targets[i] == c and targets[j] != c
        ]
        terms += [sum(wrong) / len(wrong)] if wrong else []
    near(smooth_auroc(logits, targets, temperature=0.5), sum(terms) / len(terms))


def test_hand():  # one positive at log 3, negatives at 0 and log 3: sigmoid(-log 3) = 1/4 and sigmoid(0) = 1/2
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0], [1.0, 1 + math.log(3)]], dtype=torch.float64)
    near(smooth_auroc(logits, torch.tensor([1, 0, 0])), 3 / 8)
    near(smooth_auroc(logits, torch.tensor([1, 1, 1])), 0.0)  # no negatives


def test_extreme():  # all pairs wrong by far
    values, _ = extreme(smooth_auroc, torch.tensor([[2e4, -2e4], [-2e4, 2e4]]), torch.tensor([1, 0]))
    near(values[0], 1.0)
