import math

import torch
import torch.nn.functional as F

from lossbench.losses.multi_task.trade_off_alignment import trade_off_alignment
from lossbench.losses.multi_task.trade_off_cross_entropy import trade_off_cross_entropy
from tests.losses.support import near, sample

WORDS = ("trade_off_logits", "task_targets", "trade_offs")


def test_limit():  # without weight, the trade-off cross-entropy
    tensors = sample(*WORDS)
    terms = trade_off_alignment(*tensors, weight=0.0)
    near(terms["weighted"], trade_off_cross_entropy(*tensors))
    near(terms["alignment"], 0.0)


def test_oracle():  # the angle between each trade-off and the vector of mean losses, by a loop
    logits, targets, trade_offs = sample(*WORDS, V=4, Q=3)
    cosines = []
    for v in range(4):
        losses = [F.cross_entropy(logits[:, v, q], targets[:, q]).item() for q in range(3)]
        a = trade_offs[0, v].tolist()
        dot = sum(x * y for x, y in zip(a, losses, strict=True))
        cosines.append(dot / math.hypot(*a) / math.hypot(*losses))
    near(trade_off_alignment(logits, targets, trade_offs, weight=5.0)["alignment"], -5 * sum(cosines) / 4)


def test_hand():  # losses (log 2, log 2) against a = (3/7, 4/7): cosine (3 + 4) / (5 sqrt 2)
    trade_offs = torch.tensor([[[3 / 7, 4 / 7]]])
    terms = trade_off_alignment(torch.zeros(1, 1, 2, 2), torch.tensor([[1, 0]]), trade_offs, weight=1.0)
    near(terms["alignment"], -7 / (5 * math.sqrt(2)), 1e-6)
