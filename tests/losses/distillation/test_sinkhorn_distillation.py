import math

import numpy as np
import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.distillation.sinkhorn_distillation import sinkhorn_distillation
from tests.losses.support import near, sample


def test_limit():  # weight = 0, alpha = 0 is cross-entropy; equal distributions and little smoothing cost nothing
    logits, targets, teacher = sample("logits", "targets", "teacher_logits")
    terms = sinkhorn_distillation(logits, targets, teacher, alpha=0.0, weight=0.0)
    near(sum(terms.values()), cross_entropy(logits, targets))
    near(sinkhorn_distillation(logits, targets, logits, weight=1.0, smoothing=1e-3)["sinkhorn"], 0.0)
    assert sinkhorn_distillation(logits, targets, logits, weight=1.0, smoothing=1.0)["sinkhorn"].min() > 0.01


def test_oracle():  # rows and columns divided in turn, in loops; the plan keeps its gradient
    logits, targets, teacher = sample("logits", "targets", "teacher_logits")
    logits.requires_grad_()
    terms = sinkhorn_distillation(logits, targets, teacher, alpha=0.3, weight=0.5, smoothing=0.4, iterations=3)
    p, q = (logits / 2).softmax(-1), (teacher / 2).softmax(-1)
    cost = torch.stack([torch.stack([(a - b).abs().sum() for b in q]) for a in p])
    plan = torch.exp(-cost / 0.4)
    for _ in range(3):
        plan = torch.stack([row / row.sum() for row in plan])
        plan = torch.stack([column / column.sum() for column in plan.T]).T
    near(terms["sinkhorn"].mean(), 0.5 * (plan * cost).sum())
    near(terms["distillation"], 0.3 * -(q * p.log()).sum(-1))
    near(terms["cross_entropy"], 0.7 * cross_entropy(logits, targets))
    (own,) = torch.autograd.grad(terms["sinkhorn"].mean(), logits, retain_graph=True)
    near(own, torch.autograd.grad(0.5 * (plan * cost).sum(), logits)[0])


def test_transport():  # many rounds, little smoothing: B times the cheapest assignment's cost, by scipy
    from scipy.optimize import linear_sum_assignment

    logits, targets, teacher = sample("logits", "targets", "teacher_logits")
    term = sinkhorn_distillation(logits, targets, teacher, weight=1.0, smoothing=2e-3, iterations=3000)["sinkhorn"]
    p, q = (logits / 2).softmax(-1).numpy(), (teacher / 2).softmax(-1).numpy()
    cost = np.abs(p[:, None] - q[None]).sum(-1)
    near(term.mean(), cost[linear_sum_assignment(cost)].sum(), 1e-3)


def test_hand():  # students (1, 0) and (0, 1), teachers the other way round: the plan swaps them, at no cost
    logits = torch.tensor([[1e3, 0.0], [0.0, 1e3]], dtype=torch.float64)
    targets = torch.tensor([0, 1])
    term = sinkhorn_distillation(logits, targets, logits.flip(0), weight=1.0)["sinkhorn"]
    kept = math.exp(-20) / (1 + math.exp(-20))  # of each at smoothing 0.1 goes to the other one, 2 away
    near(term, [2 * 2 * kept] * 2)
