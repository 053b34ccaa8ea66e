import math

import pytest
import torch

from lossbench.losses.distillation.alpha_divergence_distillation import (
    alpha_divergence_distillation as alpha_divergence,
)
from lossbench.losses.distillation.jeffreys_distillation import jeffreys_distillation
from tests.losses.support import near, sample

CLIPPED_NOWHERE = 1e9


def equal_orders(alpha, logits, teacher, **options):
    return alpha_divergence(logits, teacher, alpha_low=alpha, alpha_high=alpha, **options)


def plain(alpha, logits, teacher):
    """The definition, differentiable throughout."""
    p, q = teacher.softmax(-1), logits.softmax(-1)
    return (q * ((p / q) ** alpha - 1)).sum(-1) / (alpha * (alpha - 1))


def gradient(values, logits):
    return torch.autograd.grad(values.sum(), logits)[0]


def test_limit():  # alpha = 1 and 0 are the two KLs, and nearby orders nearly so; equal distributions: 0
    logits, teacher = sample("logits", "teacher_logits")
    both = {name: 2 * value for name, value in jeffreys_distillation(logits, teacher).items()}
    for alpha, name in ((1, "forward"), (0, "reverse")):
        near(equal_orders(float(alpha), logits, teacher), both[name])
        near(equal_orders(alpha + 1e-5, logits, teacher, clip=CLIPPED_NOWHERE), both[name], 1e-3)
    near(alpha_divergence(logits, logits + 1), 0.0)


@pytest.mark.parametrize("alpha", [-1.0, 0.5, 2.0, 1.0, 0.0])
def test_oracle(alpha):  # value and gradient of the definition, where nothing is clipped
    logits, teacher = sample("logits", "teacher_logits")
    logits.requires_grad_()
    own = equal_orders(alpha, logits, teacher, clip=CLIPPED_NOWHERE)
    if alpha in (0.0, 1.0):
        terms = jeffreys_distillation(logits, teacher)
        expected = 2 * terms["forward" if alpha else "reverse"]
    else:
        expected = plain(alpha, logits, teacher)
    near(own.detach(), expected.detach())
    near(gradient(own, logits), gradient(expected, logits))


def test_clipped():  # the gradient has min((p / q)^a, clip) / a in the place of (p / q)^a / a
    logits, teacher = sample("logits", "teacher_logits")
    logits, teacher = 2 * logits, 2 * teacher
    logits.requires_grad_()
    own = gradient(equal_orders(-1.0, logits, teacher, clip=1.5), logits)
    p, q = teacher.softmax(-1), logits.detach().softmax(-1)
    weights = q * (q / p).clamp(max=1.5) / -1.0
    assert ((q / p) > 1.5).any()
    near(own, -(weights - q * weights.sum(-1, keepdim=True)))  # d log q_c / d s_k = [c = k] - q_k


def test_larger_one():  # for each element by itself
    logits, teacher = sample("logits", "teacher_logits")
    low, high = (equal_orders(a, logits, teacher) for a in (-1.0, 1.0))
    assert (low > high).any() and (low < high).any()
    near(alpha_divergence(logits, teacher), torch.maximum(low, high))


def test_hand():  # a = -1, p = (1/4, 3/4), q = (1/2, 1/2): (sum q^2 / p - 1) / 2 = (1 + 1/3 - 1) / 2
    teacher = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    near(equal_orders(-1.0, torch.zeros_like(teacher), teacher), [1 / 6])
