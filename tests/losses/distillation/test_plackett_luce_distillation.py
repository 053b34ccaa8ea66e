import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.distillation.plackett_luce_distillation import plackett_luce_distillation
from tests.losses.support import near, sample


def test_limit():  # a teacher that is sure of the true class leaves cross-entropy; a constant on all scores nothing
    logits, targets, teacher = sample("logits", "targets", "teacher_logits")
    sure = 1e3 * torch.nn.functional.one_hot(targets, 5).double()
    near(plackett_luce_distillation(logits, targets, sure), cross_entropy(logits, targets))
    value = plackett_luce_distillation(logits, targets, teacher)
    near(plackett_luce_distillation(logits + 7, targets, teacher - 3), value)


def slow(logits, target, teacher, temperature):
    """The stages of a Plackett-Luce choice, one after the other."""
    others = sorted((c for c in range(len(logits)) if c != target), key=lambda c: -teacher[c])
    left, loss = [target, *others], 0.0
    weights = (teacher / temperature).softmax(-1)
    while left:
        loss -= weights[left[0]] * logits[left].log_softmax(-1)[0]
        left = left[1:]
    return loss


def test_oracle():  # choice by choice, also per token
    for tokens in (False, True):
        logits, targets, teacher = sample("logits", "targets", "teacher_logits", tokens=tokens)
        own = plackett_luce_distillation(logits, targets, teacher, temperature=2.0)
        rows = zip(logits.flatten(0, -2), targets.flatten(), teacher.flatten(0, -2), strict=True)
        near(own.flatten(), torch.stack([slow(a, int(b), c, 2.0) for a, b, c in rows]))


def test_list_mle():  # an even teacher: C times the loss is ListMLE of the order 'true class, then the others'
    logits, targets = sample("logits", "targets")
    own = plackett_luce_distillation(logits, targets, torch.zeros_like(logits))
    for row, target, value in zip(logits, targets, own, strict=True):
        order = [int(target), *(c for c in range(5) if c != target)]
        near(5 * value, -sum(row[order[k:]].log_softmax(-1)[0] for k in range(5)))


def test_hand():  # y = 1 of scores (0, log 3, 0), teacher (1/4, 1/4, 1/2): order 1, 2, 0
    teacher = torch.tensor([[1.0, 1.0, 2.0]], dtype=torch.float64).log()
    logits = torch.tensor([[1.0, 3.0, 1.0]], dtype=torch.float64).log()
    value = plackett_luce_distillation(logits, torch.tensor([1]), teacher)
    near(value, [math.log(5 / 3) / 4 + math.log(2) / 2])
