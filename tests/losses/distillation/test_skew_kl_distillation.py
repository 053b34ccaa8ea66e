import math

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from lossbench.losses.distillation.reverse_kl_distillation import reverse_kl_distillation
from lossbench.losses.distillation.skew_kl_distillation import skew_kl_distillation
from tests.losses.support import near, sample


def test_limit():  # no skew is the plain divergence
    logits, teacher = sample("logits", "teacher_logits")
    near(skew_kl_distillation(logits, teacher, skew=0.0, direction="reverse"), reverse_kl_distillation(logits, teacher))
    forward = kl_divergence(Categorical(logits=teacher), Categorical(logits=logits))
    near(skew_kl_distillation(logits, teacher, skew=0.0), forward)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_oracle(direction):  # torch.distributions, with the mix written out
    for tokens in (False, True):
        logits, teacher = sample("logits", "teacher_logits", tokens=tokens)
        p, q = teacher.softmax(-1), logits.softmax(-1)
        first, second = (p, q) if direction == "forward" else (q, p)
        mix = 0.2 * first + 0.8 * second
        expected = kl_divergence(Categorical(probs=first), Categorical(probs=mix))
        near(skew_kl_distillation(logits, teacher, skew=0.2, direction=direction), expected)


def test_hand():  # p = (1/4, 3/4), q = (1/2, 1/2), half of each: (3/8, 5/8); 1/4 log 2/3 + 3/4 log 6/5
    teacher = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    value = skew_kl_distillation(torch.zeros_like(teacher), teacher, skew=0.5)
    near(value, [math.log(2 / 3) / 4 + 3 / 4 * math.log(6 / 5)])


def test_bound():  # a student that is sure of the wrong class pays -log skew at most
    teacher = torch.tensor([[1e3, 0.0]], dtype=torch.float64)
    near(skew_kl_distillation(-teacher, teacher, skew=0.1), [math.log(10)])
