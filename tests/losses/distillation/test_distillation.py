import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.distillation.distillation import distillation
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # alpha = 0 is cross-entropy; a student that scores like the teacher has nothing to learn from it
    logits, targets, teacher_logits = sample("logits", "targets", "teacher_logits")
    terms = distillation(logits, targets, teacher_logits, alpha=0.0)
    near(sum(terms.values()), cross_entropy(logits, targets))
    near(distillation(logits, targets, logits + 3, alpha=1.0)["distillation"], 0.0)
    near(distillation(logits, targets, teacher_logits, alpha=1.0)["cross_entropy"], 0.0)


def test_oracle():  # torch.distributions' divergence of the softened classes, also per token
    for tokens in (False, True):
        logits, targets, teacher_logits = sample("logits", "targets", "teacher_logits", tokens=tokens)
        terms = distillation(logits, targets, teacher_logits, alpha=0.3, temperature=2.5)
        teacher, student = (torch.distributions.Categorical(logits=s / 2.5) for s in (teacher_logits, logits))
        near(terms["distillation"], 0.3 * 2.5**2 * torch.distributions.kl_divergence(teacher, student))
        near(terms["cross_entropy"], 0.7 * cross_entropy(logits, targets))


def test_hand():  # T = 2, teacher (1/4, 3/4), student (1/2, 1/2): 4 alpha (log 2 - 1/4 log 4 - 3/4 log 4/3)
    logits, targets = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0])
    teacher_logits = torch.tensor([[0.0, 2 * math.log(3)]], dtype=torch.float64)
    terms = distillation(logits, targets, teacher_logits, alpha=0.75, temperature=2.0)
    near(terms["distillation"], [3 * (math.log(2) - math.log(4) / 4 - 3 / 4 * math.log(4 / 3))])
    near(terms["cross_entropy"], [math.log(2) / 4])


def test_gradient():  # section 2: T (q - p) for the student, in the hot limit a difference of centred scores / C
    logits, targets, teacher_logits = sample("logits", "targets", "teacher_logits")
    logits.requires_grad_(), teacher_logits.requires_grad_()
    for temperature, tolerance in ((3.0, 1e-9), (1e5, 1e-4)):
        term = distillation(logits, targets, teacher_logits, alpha=1.0, temperature=temperature)["distillation"]
        student, teacher = torch.autograd.grad(
            term.sum(), (logits, teacher_logits), allow_unused=True, materialize_grads=True
        )
        q, p = ((scores.detach() / temperature).softmax(-1) for scores in (logits, teacher_logits))
        near(student, temperature * (q - p), 1e-7)
        near(teacher, 0.0)
        if tolerance > 1e-9:
            a, b = (scores.detach() - scores.detach().mean(-1, keepdim=True) for scores in (logits, teacher_logits))
            near(student, (a - b) / 5, tolerance)


def test_extreme():  # T = 4: the teacher is sure of class 0; a student sure of class 1 pays 16 * 4e4 / 4, gradient 4
    logits, targets = torch.tensor([[2e4, -2e4]]), torch.tensor([0])
    for sign, cross, soft, slope in ((1, 0, 0, 0), (-1, 4e4, 1.6e5, 2.5)):
        values, gradients = extreme(distillation, sign * logits, targets, logits, alpha=0.5, temperature=4.0)
        near(values[0], [0.5 * cross])
        near(values[1], [0.5 * soft])
        near(gradients[0], [[-slope, slope]])


def test_stacked():
    stacked(distillation, alpha=[0.0, 0.5, 1.0], temperature=[0.5, 1.0, 4.0])
