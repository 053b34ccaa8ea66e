import math

import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.hypo import hypo
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps", "policy_kl")


def test_limit():  # weight = 0 is dpo
    values = sample(*WORDS)
    found = hypo(*values, weight=0.0, beta=0.3)
    near(found["preference"], dpo(*values[:4], beta=0.3))
    near(found["kl"], 0.0)


def test_oracle():  # the gradient of the KL of a softmax policy is that of the score function over all completions:
    # sum_y pi(y) (log pi(y) / ref(y)) d log pi(y)
    draw = torch.Generator().manual_seed(0)
    logits, ref = (torch.randn(9, generator=draw, dtype=torch.float64) for _ in range(2))
    logits.requires_grad_()
    ref = ref.log_softmax(0)
    log_p = logits.log_softmax(0)
    zeros = torch.zeros(1, dtype=torch.float64)
    found = hypo(zeros, zeros, zeros, zeros, (log_p.exp() * (log_p - ref)).sum().reshape(1), weight=0.3)
    (gradient,) = torch.autograd.grad(found["kl"].sum() + found["preference"].sum(), logits)
    p = log_p.detach().exp()
    expected = torch.zeros(9, dtype=torch.float64)
    for y in range(9):
        score = torch.nn.functional.one_hot(torch.tensor(y), 9) - p
        expected += 0.3 * p[y] * (log_p[y].detach() - ref[y]) * score
    near(gradient, expected)


def test_hand():  # at the reference, KL 2, weight 1/4
    found = hypo(*[torch.tensor([v], dtype=torch.float64) for v in (-5.0, -3.0, -5.0, -3.0, 2.0)], weight=0.25)
    near(found["preference"], math.log(2))
    near(found["kl"], 0.5)


def test_extreme():
    far = torch.tensor([-6e4, 0.0])
    extreme(hypo, far, far.flip(0), torch.zeros(2), torch.zeros(2), torch.tensor([6e4, 0.0]))


def test_stacked():
    stacked(hypo, beta=[0.01, 0.1, 1.0], weight=[0.0, 0.01, 1.0])
