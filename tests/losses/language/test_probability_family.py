import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.probability_family import probability_family
from tests.losses.support import near, same, sample


def test_limit():
    same(lambda logits, targets: probability_family(logits, targets, alpha=0.0), cross_entropy)
    same(lambda logits, targets: probability_family(logits, targets, alpha=1e-7), cross_entropy, 1e-5)


def test_oracle():  # each of the objectives over the tokens, from its formula
    formulas = {
        (1.0, "all"): lambda p: 1 - p,
        (10.0, "all"): lambda p: (1 - p**10) / 10,
        (0.5, "all"): lambda p: 2 * (1 - math.sqrt(p)),
        (1.0, "above"): lambda p: (1 - p) * (p >= 0.2),
        (1.0, "below"): lambda p: (1 - p) * (p <= 0.2),
        (0.0, "above"): lambda p: -math.log(p) * (p >= 0.2),
        (0.0, "below"): lambda p: -math.log(p) * (p <= 0.2),
    }
    for seed in range(3):
        logits, targets = sample("logits", "targets", seed=seed, tokens=True)
        p = logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).flatten()
        assert (p > 0.2).any() and (p < 0.2).any()
        for (alpha, keep), formula in formulas.items():
            found = probability_family(logits, targets, alpha=alpha, keep=keep, threshold=0.2)
            near(found.flatten(), [formula(value) for value in p.tolist()])


def test_gradient():  # p^alpha times that of cross-entropy
    logits, targets = sample("logits", "targets")
    logits.requires_grad_()
    (plain,) = torch.autograd.grad(cross_entropy(logits, targets).sum(), logits)
    (found,) = torch.autograd.grad(probability_family(logits, targets, alpha=3.0).sum(), logits)
    p = logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).detach()
    near(found, p**3 * plain)


def test_hand():  # p = 3/4: 1 - p
    near(probability_family(torch.tensor([[0.0, math.log(3)]]), torch.tensor([1])), [0.25], 1e-6)
