import math

import torch
from torch.distributions import Bernoulli, kl_divergence

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.distillation.binary_distillation import binary_distillation
from tests.losses.support import near, sample


def test_limit():  # alpha = 0 is cross-entropy; equal scores pay nothing, equal probabilities are not enough
    logits, targets, teacher = sample("logits", "targets", "teacher_logits")
    near(sum(binary_distillation(logits, targets, teacher, alpha=0.0).values()), cross_entropy(logits, targets))
    near(binary_distillation(logits, targets, logits)["distillation"], 0.0)
    assert binary_distillation(logits, targets, logits + 1)["distillation"].min() > 0.1


def test_oracle():  # torch.distributions' divergence of Bernoulli variables, also per token
    for tokens in (False, True):
        logits, targets, teacher = sample("logits", "targets", "teacher_logits", tokens=tokens)
        term = binary_distillation(logits, targets, teacher, alpha=0.7, temperature=3.0)["distillation"]
        half = Bernoulli(torch.tensor(0.5, dtype=torch.float64))
        near(term, 0.7 * 9 * kl_divergence(half, Bernoulli(logits=(logits - teacher) / 3)).sum(-1))


def test_small_differences():  # 1/8 of the squared distance, whatever the temperature
    logits, targets, teacher = sample("logits", "targets", "teacher_logits")
    teacher = logits + 1e-3 * teacher
    for temperature in (1.0, 5.0):
        term = binary_distillation(logits, targets, teacher, temperature=temperature)["distillation"]
        near(1e6 * term, 1e6 * (logits - teacher).square().sum(-1) / 8, 1e-4)


def test_hand():  # differences 2 log 3 and 0 at T = 2: sigmoid 3/4: 4 (log(2/3) + log 2) / 2
    logits, teacher = torch.tensor([[2 * math.log(3), 1.0]], dtype=torch.float64), torch.tensor([[0.0, 1.0]]).double()
    term = binary_distillation(logits, torch.tensor([0]), teacher, temperature=2.0)["distillation"]
    near(term, [2 * math.log(4 / 3)])
