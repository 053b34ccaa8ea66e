import math
from fractions import Fraction

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.direct_coverage import direct_coverage
from tests.losses.support import near, sample


def of(p, samples):
    """The loss of one sequence of one token with probability p."""
    logits = torch.stack([torch.log(torch.as_tensor(p)), torch.log1p(-torch.as_tensor(p))], -1).view(1, 1, 2)
    zero = torch.zeros(1, 1, dtype=torch.long)
    return direct_coverage(logits, zero, zero == 0, samples=samples)[0]


def test_limit():  # one sample: the negative log-likelihood of the answer
    logits, targets, mask = sample("logits", "targets", "mask", tokens=True)
    near(direct_coverage(logits, targets, mask, samples=1.0), (cross_entropy(logits, targets) * mask).sum(1))


def test_oracle():  # the formula over the tokens one by one
    logits, targets, mask = sample("logits", "targets", "mask", tokens=True)
    mask[0] = True
    for samples in (2, 16, 300):
        expected = []
        for i in range(6):
            p = math.prod(logits[i, t].softmax(0)[targets[i, t]].item() for t in range(7) if mask[i, t])
            expected.append(-math.log(1 - (1 - p) ** samples))
        near(direct_coverage(logits, targets, mask, samples=float(samples)), expected, 1e-8)


def test_gradient():  # F times that of -log p
    for p in (1e-6, 0.01, 0.2, 0.9):
        for samples in (2.0, 16.0, 256.0):
            log_p = torch.tensor(math.log(p), dtype=torch.float64, requires_grad=True)
            of(log_p.exp(), samples).backward()
            factor = samples * (1 - p) ** (samples - 1) * p / (1 - (1 - p) ** samples)
            near(-log_p.grad, factor, 1e-7)


def test_hand():  # p = 1/2, three samples: 1 - 1/8
    near(of(torch.tensor(0.5, dtype=torch.float64), 3.0), math.log(8 / 7))


def test_extremes():  # exact rational arithmetic where p is tiny; certain answers have no loss
    for exponent in (3, 10, 20, 40):
        p, samples = Fraction(1, 10**exponent), 64
        exact = -math.log(1 - (1 - p) ** samples)
        near(of(torch.tensor(float(p), dtype=torch.float64), samples), exact, 1e-9)
    logits = torch.tensor([[[0.0, 5000.0]] * 3], requires_grad=True)
    values = direct_coverage(logits, torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool))
    near(values, [15000 - math.log(16)], 1e-6)
    values.sum().backward()
    near(logits.grad[0, :, 0], [-1.0] * 3, 1e-6)
    near(direct_coverage(logits, torch.ones(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool)), [0.0], 1e-30)
