import math

import numpy
import torch
from sklearn.metrics import accuracy_score

from lossbench.metrics.flips import flip_metrics
from tests.metrics.support import near, random


def test_oracle():  # loops over the examples of the old classes; scikit-learn's accuracies
    targets = torch.arange(200) % 6
    logits = random(200, 6) + torch.nn.functional.one_hot(targets, 6)
    old = random(200, 4, seed=1) + torch.nn.functional.one_hot(targets, 6)[:, :4]
    new, before = logits.argmax(-1).numpy(), old.argmax(-1).numpy()
    known = numpy.array([y < 4 for y in targets.tolist()])
    flips = [b == y and n != y for n, b, y in zip(new[known], before[known], targets.numpy()[known], strict=True)]
    right = [accuracy_score(targets.numpy()[known], predicted[known]) for predicted in (before, new)]
    actual = flip_metrics(logits, old, targets)
    near(actual["negative_flip_rate"], sum(flips) / known.sum())
    near(actual["relative_negative_flip_rate"], sum(flips) / known.sum() / (right[0] * (1 - right[1])))
    near(actual["old_classes_accuracy"], right[1])
    near(actual["new_classes_accuracy"], accuracy_score(targets.numpy()[~known], new[~known]))


def test_hand():
    # Old classes 0, 1. Old model: right, right, wrong, right on four of them; new model: right, wrong, wrong, right.
    # One flip of four; (1 - 1/4) * 1/2 were to be expected. A new class is predicted rightly, another one not.
    rows = torch.eye(3)
    targets = torch.tensor([0, 1, 1, 0, 2, 2])
    old, new = rows[[0, 1, 0, 0, 0, 1]][:, :2], rows[[0, 2, 0, 0, 2, 0]]
    actual = flip_metrics(new, old, targets)
    near(actual["negative_flip_rate"], 1 / 4)
    near(actual["relative_negative_flip_rate"], (1 / 4) / (3 / 8))
    near(actual["old_classes_accuracy"], 1 / 2)
    near(actual["new_classes_accuracy"], 1 / 2)


def test_limits():  # the same model never flips; without errors nothing is to be expected; without new classes NaN
    targets = torch.arange(9) % 3
    logits = random(9, 3)
    near(flip_metrics(logits, logits, targets)["negative_flip_rate"], 0.0)
    perfect = flip_metrics(torch.eye(3)[targets], torch.eye(3)[targets], targets)
    near(perfect["relative_negative_flip_rate"], 0.0)
    near(perfect["new_classes_accuracy"], math.nan)
    logits[0, 0] = math.nan
    assert all(math.isnan(value) for value in flip_metrics(logits, random(9, 3), targets).values())


def test_stacked():
    targets = torch.arange(20) % 5
    logits, old = random(3, 20, 5), random(3, 20, 3, seed=1)
    together = torch.vmap(flip_metrics, (0, 0, None))(logits, old, targets)
    for i in range(3):
        for name, value in flip_metrics(logits[i], old[i], targets).items():
            near(together[name][i], value)
