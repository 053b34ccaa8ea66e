import math

import numpy as np
import torch
from scipy.optimize import linprog

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.earth_mover import earth_mover
from tests.losses.support import near, sample


def costs(weight):
    unit = weight / weight.norm(dim=1, keepdim=True)
    return 1 - unit @ unit.T


def test_limit():  # orthogonal embeddings of any length: 1 - p
    logits, targets = sample("logits", "targets")
    p = logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    near(earth_mover(logits, targets, 3 * torch.eye(5, dtype=torch.float64), form="pure"), 1 - p)


def test_oracle():  # the cheapest transport between softmax and target, found by linear programming
    logits, targets, weight = sample("logits", "targets", "head_weight")
    cost, q = costs(weight).numpy(), logits.softmax(-1).numpy()
    expected = []
    for row, y in zip(q, targets.tolist(), strict=True):
        leaves = np.kron(np.eye(5), np.ones(5))  # what goes out of v
        arrives = np.kron(np.ones(5), np.eye(5))  # what comes to w
        solved = linprog(cost.flatten(), A_eq=np.vstack([leaves, arrives]), b_eq=[*row, *np.eye(5)[y]])
        expected.append(solved.fun)
    near(earth_mover(logits, targets, weight, form="pure"), expected, 1e-7)


def test_gradients():  # of both forms, from the gradients of distance and likelihood; none of the embeddings
    logits, targets, weight = sample("logits", "targets", "head_weight", tokens=True)
    logits.requires_grad_(), weight.requires_grad_()
    distance, nll = earth_mover(logits, targets, weight, form="pure"), cross_entropy(logits, targets)
    of_distance, of_nll = (torch.autograd.grad(v.sum(), logits, retain_graph=True)[0] for v in (distance, nll))
    q = logits.softmax(-1).detach()
    c = costs(weight.detach())[targets]
    near(of_distance, q * (c - (q * c).sum(-1, keepdim=True)))
    ratio = (nll / distance).detach().unsqueeze(-1)
    for form, expected in (
        ("likelihood", (of_nll + ratio * of_distance) / 2),
        ("distance", of_distance + of_nll / ratio),
    ):
        values = earth_mover(logits, targets, weight, form=form)
        near(values.detach(), nll.detach() if form == "likelihood" else 2 * distance.detach())
        found, none = torch.autograd.grad(values.sum(), [logits, weight], allow_unused=True)
        near(found, expected)
        assert none is None or not none.any()


def test_hand():  # embeddings (1, 0), (0, 2), (-1, 0): costs to the first 0, 1, 2; q = 1/2, 1/4, 1/4
    logits = torch.tensor([[math.log(2), 0.0, 0.0]], dtype=torch.float64)
    weight = torch.tensor([[1.0, 0], [0, 2], [-1, 0]], dtype=torch.float64)
    near(earth_mover(logits, torch.tensor([0]), weight, form="pure"), [0.75])
