import math

import torch
from torch.distributions import Categorical, kl_divergence

from lossbench.losses.distillation.jeffreys_distillation import jeffreys_distillation
from lossbench.losses.distillation.reverse_kl_distillation import reverse_kl_distillation
from tests.losses.support import near, sample


def test_limit():  # share = 1 is reverse-KL distillation
    logits, teacher = sample("logits", "teacher_logits")
    terms = jeffreys_distillation(logits, teacher, share=1.0, temperature=2.0)
    near(sum(terms.values()), reverse_kl_distillation(logits, teacher, temperature=2.0))


def test_oracle():  # torch.distributions' divergences, both ways, also per token
    for tokens in (False, True):
        logits, teacher = sample("logits", "teacher_logits", tokens=tokens)
        terms = jeffreys_distillation(logits, teacher, share=0.3, temperature=2.0)
        p, q = Categorical(logits=teacher / 2), Categorical(logits=logits / 2)
        near(terms["forward"], 0.7 * kl_divergence(p, q))
        near(terms["reverse"], 0.3 * kl_divergence(q, p))


def test_hand():  # p = (1/4, 3/4), q = (1/2, 1/2): half of sum (p - q) log p / q = -1/4 log 1/2 + 1/4 log 3/2
    teacher = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    terms = jeffreys_distillation(torch.zeros_like(teacher), teacher)
    near(sum(terms.values()), [(math.log(2) / 4 + math.log(1.5) / 4) / 2])
