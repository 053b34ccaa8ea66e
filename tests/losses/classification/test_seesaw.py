import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.seesaw import seesaw
from tests.losses.support import near, same


def test_limit():
    off = {"mitigation": 0.0, "compensation": 0.0}
    same(seesaw, lambda logits, targets: cross_entropy(logits, targets), **off)


def test_oracle():  # the equations by a loop
    def equation(logits, targets, class_counts):
        losses = []
        for z, y in zip(logits.flatten(0, -2), targets.flatten(), strict=True):
            p = (z.exp() / z.exp().sum()).tolist()
            total = math.exp(z[y])
            for c in range(5):
                if c != y:
                    n_c, n_y = float(class_counts[c]), float(class_counts[y])
                    weight = (n_c / n_y) ** 0.6 if n_y > n_c else 1.0
                    weight *= (p[c] / max(p[y], 0.01)) ** 1.5 if p[c] > max(p[y], 0.01) else 1.0
                    total += weight * math.exp(z[c])
            losses.append(math.log(total) - float(z[y]))
        return torch.tensor(losses, dtype=torch.float64)

    same(seesaw, equation, mitigation=0.6, compensation=1.5)


def test_hand():  # n = 4, 1. Equal scores: a negative of the rarer class counts (1/4)^(1/2) = 1/2, the other one 1
    logits, counts = torch.zeros(2, 2, dtype=torch.float64), torch.tensor([4.0, 1.0], dtype=torch.float64)
    near(seesaw(logits, torch.tensor([0, 1]), counts, mitigation=0.5), [math.log(3 / 2), math.log(2)])
    # p = 1/4, 3/4 and the true class is the first: preferred three times, squared 9, so log((1 + 9 * 3) / 1)
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    near(seesaw(logits, torch.tensor([0]), torch.ones(2).double()), [math.log(28)])


def test_no_gradient_through_the_weights():  # as that of a cross-entropy whose logits carry the weights as constants
    logits = torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    counts, target = torch.tensor([9.0, 3.0, 1.0], dtype=torch.float64), torch.tensor([0])
    (found,) = torch.autograd.grad(seesaw(logits, target, counts).sum(), logits)
    p = logits.detach().softmax(-1)[0]
    weights = [1.0, (1 / 3) ** 0.8 * float(p[1] / p[0]) ** 2, (1 / 9) ** 0.8]
    parts = torch.tensor([w * math.exp(z) for w, z in zip(weights, logits[0].tolist(), strict=True)])
    expected = parts / parts.sum() - torch.tensor([1.0, 0.0, 0.0])
    near(found, expected.unsqueeze(0), 1e-6)
