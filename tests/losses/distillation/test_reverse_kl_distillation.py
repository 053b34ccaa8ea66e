import math

import torch
from torch.distributions import Categorical, kl_divergence

from lossbench.losses.distillation.reverse_kl_distillation import reverse_kl_distillation
from tests.losses.support import near, sample


def test_limit():  # a student that scores like the teacher, up to a constant, pays nothing
    (logits,) = sample("logits")
    near(reverse_kl_distillation(logits, logits + 3), 0.0)


def test_oracle():  # torch.distributions' divergence from the student to the teacher, also per token
    for tokens in (False, True):
        logits, teacher = sample("logits", "teacher_logits", tokens=tokens)
        expected = kl_divergence(Categorical(logits=logits / 2.5), Categorical(logits=teacher / 2.5))
        near(reverse_kl_distillation(logits, teacher, temperature=2.5), expected)


def test_hand():  # student (1/2, 1/2), teacher (1/4, 3/4): (log 2 + log 2/3) / 2
    teacher = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    near(reverse_kl_distillation(torch.zeros_like(teacher), teacher), [(math.log(2) + math.log(2 / 3)) / 2])
