import math

import torch
from scipy.stats import gumbel_r

from lossbench.losses.classification.gumbel_optimized import gumbel_optimized
from tests.losses.support import near, same


def test_limit():  # between lowest and the far right it does not depend on lowest; below, its slope is that at lowest
    same(gumbel_optimized, lambda logits, labels: gumbel_optimized(logits, labels, lowest=-9.0), lowest=-8.0)
    z = torch.tensor([[-2.0], [-5.0], [-500.0]], dtype=torch.float64, requires_grad=True)
    loss = gumbel_optimized(z, torch.ones(3, 1), lowest=-2.0)
    near(loss, [math.exp(2) * (1 + d) for d in (0, 3, 498)])
    (slope,) = torch.autograd.grad(loss[1:].sum(), z)
    near(slope[1:], -math.exp(2))


def test_oracle():  # the distribution function of scipy
    def equation(logits, labels):
        eta = torch.from_numpy(gumbel_r.cdf(logits.numpy()))
        not_eta = torch.from_numpy(gumbel_r.sf(logits.numpy()))
        return -(labels * eta.log() + (1 - labels) * not_eta.log()).mean(-1)

    same(gumbel_optimized, equation)


def test_hand():  # z = 0: eta = 1/e, so 1 for the positive and -log(1 - 1/e) for the negative, mean over the two
    found = gumbel_optimized(torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    near(found, [(1 - math.log(1 - math.exp(-1))) / 2])


def test_far_right():  # a certain negative that is wrong: 1 - eta is exp(-z) to first order, the loss about z
    z = torch.tensor([[9.99], [10.01], [20.0], [60.0]], dtype=torch.float64)
    expected = [-math.log(-math.expm1(-math.exp(-float(x)))) for x in z]
    near(gumbel_optimized(z, torch.zeros(4, 1, dtype=torch.float64)), expected)
    near(gumbel_optimized(z.float(), torch.zeros(4, 1)), expected, 1e-5)
