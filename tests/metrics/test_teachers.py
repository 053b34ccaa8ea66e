import math

import torch
from torch.distributions import Categorical, kl_divergence

from lossbench.metrics.teachers import teacher_metrics
from tests.losses.support import near, sample


def test_oracle():  # torch.distributions' divergence; the most that any event's probability differs by
    logits, teacher = sample("logits", "teacher_logits")
    own = teacher_metrics(logits, teacher)
    p, q = teacher.softmax(-1), logits.softmax(-1)
    near(own["teacher_divergence"], kl_divergence(Categorical(probs=p), Categorical(probs=q)).mean())
    events = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 5)
    near(own["teacher_distance"], ((p - q) @ events.T).amax(-1).mean())
    near(own["teacher_agreement"], sum(float(a.argmax() == b.argmax()) for a, b in zip(p, q, strict=True)) / 6)


def test_hand():  # p = (1/4, 3/4), q = (1/2, 1/2): distance 1/4
    teacher = torch.tensor([[0.0, math.log(3)]])
    own = teacher_metrics(torch.tensor([[0.1, 0.0]]) * 0, teacher)
    near(own["teacher_distance"], 0.25, 1e-6)
    near(own["teacher_divergence"], math.log(0.5) / 4 + 3 / 4 * math.log(1.5), 1e-6)


def test_limit():  # the same scores but for a constant
    (logits,) = sample("logits")
    own = teacher_metrics(logits, logits + 2)
    near(own["teacher_agreement"], 1.0)
    near(own["teacher_divergence"], 0.0)
    near(own["teacher_distance"], 0.0)
