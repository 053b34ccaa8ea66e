import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.distillation.probability_weighted_cross_entropy import probability_weighted_cross_entropy
from tests.losses.support import near, sample


def test_limit():  # a teacher that is sure: cross-entropy
    logits, targets, given = sample("logits", "targets", "teacher_target_log_p")
    own = probability_weighted_cross_entropy(logits, targets, torch.zeros_like(given))
    near(own, cross_entropy(logits, targets))


def test_oracle():  # torch.distributions, also per token
    for tokens in (False, True):
        logits, targets, given = sample("logits", "targets", "teacher_target_log_p", tokens=tokens)
        log_p = torch.distributions.Categorical(logits=logits).log_prob(targets)
        near(probability_weighted_cross_entropy(logits, targets, given), -given.exp() * log_p)


def test_minimiser():  # of the expectation: in proportion to the squares, which is the bias that the paper shows
    teacher = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    logits = (2 * teacher.log()).requires_grad_()
    values = probability_weighted_cross_entropy(logits.expand(3, 3), torch.arange(3), teacher.log())
    near(torch.autograd.grad((teacher * values).sum(), logits)[0], 0.0)


def test_hand():  # student 1/2, teacher 1/4: log(2) / 4
    logits = torch.zeros(1, 2, dtype=torch.float64)
    value = probability_weighted_cross_entropy(logits, torch.tensor([1]), torch.tensor([0.25]).double().log())
    near(value, [math.log(2) / 4])
