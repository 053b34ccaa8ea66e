import math

import torch
import torch.nn.functional as F

from lossbench.losses.multi_task.task_cross_entropy import task_cross_entropy
from lossbench.losses.multi_task.trade_off_cross_entropy import trade_off_cross_entropy
from tests.losses.support import near, sample


def test_limit():  # a corner is one task alone
    logits, targets = sample("trade_off_logits", "task_targets")
    corner = torch.zeros(*logits.shape[:3], dtype=torch.float64)
    corner[..., 2] = 1
    alone = [task_cross_entropy(logits[:, v], targets)["task2"] for v in range(logits.shape[1])]
    near(trade_off_cross_entropy(logits, targets, corner), torch.stack(alone).mean(0))


def test_oracle():  # by loops over examples, trade-offs and tasks
    logits, targets, trade_offs = sample("trade_off_logits", "task_targets", "trade_offs", V=4, Q=3)
    for i in range(len(logits)):
        total = 0.0
        for v in range(4):
            for q in range(3):
                total += trade_offs[i, v, q] * F.cross_entropy(logits[i, v, q], targets[i, q]) / 4
        near(trade_off_cross_entropy(logits, targets, trade_offs)[i], total)


def test_hand():  # one trade-off of (1/4, 3/4), p = 3/4 and 1/2
    logits = torch.tensor([[[[0.0, math.log(3)], [1.0, 1.0]]]])
    value = trade_off_cross_entropy(logits, torch.tensor([[1, 0]]), torch.tensor([[[0.25, 0.75]]]))
    near(value, [math.log(4 / 3) / 4 + 3 * math.log(2) / 4], 1e-6)
