import math

import torch

from lossbench.losses.distillation.squared_error_logit import squared_error_logit
from tests.losses.support import near, sample


def test_limit():  # 0 where the student has the teacher's probability of the label, whatever the other labels have
    logits, targets = sample("logits", "targets")
    own = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    near(squared_error_logit(logits, targets, own), 0.0)


def test_oracle():  # torch.nn.functional's squared error of torch.distributions' log-probabilities, also per token
    for tokens in (False, True):
        logits, targets, given = sample("logits", "targets", "teacher_target_log_p", tokens=tokens)
        log_p = torch.distributions.Categorical(logits=logits).log_prob(targets)
        near(squared_error_logit(logits, targets, given), torch.nn.functional.mse_loss(log_p, given, reduction="none"))


def test_minimiser():  # of labels seen however unevenly: their probabilities are copied, the rest is what is left
    teacher = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    targets = torch.tensor([0] * 3 + [1] * 11 + [2])
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=500, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = squared_error_logit(logits.expand(15, 4), targets, teacher.log()[targets]).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    near(logits.detach().softmax(-1), teacher, 1e-5)


def test_hand():  # student 1/2, teacher 1/8: (log 4)^2
    logits = torch.zeros(1, 2, dtype=torch.float64)
    near(squared_error_logit(logits, torch.tensor([1]), torch.tensor([0.125]).double().log()), [math.log(4) ** 2])
