import math

import torch
import torch.nn.functional as F

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.multi_task.task_cross_entropy import task_cross_entropy
from tests.losses.support import near, sample


def test_limit():  # one task is cross-entropy
    logits, targets = sample("logits", "targets")
    terms = task_cross_entropy(logits.unsqueeze(1), targets.unsqueeze(1))
    assert terms.keys() == {"task0"}
    near(terms["task0"], cross_entropy(logits, targets))


def test_oracle():  # torch's cross-entropy, task by task
    logits, targets = sample("task_logits", "task_targets", Q=3)
    terms = task_cross_entropy(logits, targets)
    assert list(terms) == ["task0", "task1", "task2"]
    for q in range(3):
        near(terms[f"task{q}"], F.cross_entropy(logits[:, q], targets[:, q], reduction="none"))


def test_hand():  # p = 3/4 for the one, 1/2 for the other
    logits = torch.tensor([[[0.0, math.log(3)], [1.0, 1.0]]])
    terms = task_cross_entropy(logits, torch.tensor([[1, 0]]))
    near(terms["task0"], [math.log(4 / 3)], 1e-6)
    near(terms["task1"], [math.log(2)], 1e-6)
