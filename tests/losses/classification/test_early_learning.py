import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.early_learning import early_learning, init_state
from tests.losses.support import extreme, near, sample, stacked


def memory(seed=0):  # a state as it may be in the middle of a run: rows of probabilities times 0.9
    rows = torch.randn(11, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return {"average": 0.9 * rows.softmax(-1)}


def test_limit():  # weight = 0 is cross-entropy
    logits, targets, ids = sample("logits", "targets", "ids")
    terms, _ = early_learning(logits, targets, ids, memory(), weight=0.0)
    near(terms["cross_entropy"] + terms["regularization"], cross_entropy(logits, targets))


def test_oracle():  # section 4, written out over the examples, for three steps on the same memory
    expected = memory()["average"].clone()
    state = memory()
    for seed in range(3):
        logits, targets, ids = sample("logits", "targets", "ids", seed=seed)
        terms, state = early_learning(logits, targets, ids, state, beta=0.6, weight=2.0)
        for i, address in enumerate(ids):
            p = logits[i].exp() / logits[i].exp().sum()
            expected[address] = 0.6 * expected[address] + 0.4 * p
            near(terms["regularization"][i], 2 * torch.log(1 - torch.dot(p, expected[address])))
            near(terms["cross_entropy"][i], -torch.log(p[targets[i]]))
        near(state["average"], expected)


def test_hand():  # first step, p = (1/4, 3/4), beta = 0.7: t = 0.3 p, <p, t> = 0.3 * 10/16 = 3/16
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    state = init_state(num_examples=3, num_outputs=2)
    terms, state = early_learning(logits, torch.tensor([0]), torch.tensor([2]), state, beta=0.7, weight=3.0)
    near(terms["regularization"], [3 * math.log(13 / 16)])
    near(state["average"], [[0, 0], [0, 0], [0.075, 0.225]], 1e-7)


def test_gradient():  # t is a constant: d/ds_c of log(1 - <p, t>) is p_c (<p, t> - t_c) / (1 - <p, t>)
    logits, targets, ids = sample("logits", "targets", "ids")
    logits.requires_grad_()
    terms, state = early_learning(logits, targets, ids, memory(), weight=1.0)
    (gradient,) = torch.autograd.grad(terms["regularization"].sum(), logits)
    p, t = logits.detach().softmax(-1), state["average"][ids]
    agreement = (p * t).sum(-1, keepdim=True)
    near(gradient, p * (agreement - t) / (1 - agreement))
    assert not state["average"].requires_grad


def test_pure():  # the old memory stays as it was, and only the batch's rows are new
    logits, targets, ids = sample("logits", "targets", "ids")
    before = memory()
    _, after = early_learning(logits, targets, ids, before)
    near(before["average"], memory()["average"], 0.0)
    changed = (after["average"] != before["average"]).any(-1)
    assert sorted(changed.nonzero().flatten().tolist()) == sorted(ids.tolist())


def test_extreme():  # remembered with certainty: log(1e-4) if it says the same again, log(0.7) if it says the other
    targets, ids, right = torch.tensor([0]), torch.tensor([0]), torch.tensor([[2e4, -2e4]])
    state = {"average": torch.tensor([[1.0, 0.0]])}
    for sign, cross, kept in ((1, 0, 1e-4), (-1, 4e4, 0.7)):
        values, gradients = extreme(early_learning, sign * right, targets, ids, state, weight=1.0)
        near(values[0], [cross])
        near(values[1], [math.log(kept)], 1e-6)
        near(gradients[0], [[-float(cross > 0), float(cross > 0)]])


def test_stacked():
    stacked(early_learning, {"state": [memory(0), memory(1), memory(2)]}, beta=[0.0, 0.5, 0.9], weight=[0.0, 1.0, 3.0])
