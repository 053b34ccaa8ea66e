import torch

from lossbench.losses.unlearning.gradient_ascent import gradient_ascent
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # all examples are to be forgotten: the cross-entropy with the other sign
    (logits, targets) = sample("logits", "targets")
    logps = logits.log_softmax(-1)[torch.arange(len(targets)), targets]
    near(
        gradient_ascent(logps, torch.ones(len(targets))),
        -torch.nn.functional.cross_entropy(logits, targets, reduction="none"),
    )


def test_oracle():  # over a whole training set: the mean over its 4 members that are forgotten
    (logps,) = sample("completion_logps", B=20)
    forgotten = torch.arange(20) % 5 == 2
    near(gradient_ascent(logps, 20 / 4 * forgotten.double()).mean(), sum(logps[i].item() for i in (2, 7, 12, 17)) / 4)


def test_hand():  # 3 of every 4 are kept: 4 (-0.5), 0, 0, 0
    near(gradient_ascent(torch.tensor([-0.5, -1.0, -2.0, -3.0]), torch.tensor([4.0, 0.0, 0.0, 0.0])), [-2.0, 0, 0, 0])


def test_extreme():  # the gradient stays, however little is left to forget
    _, (gradient, _) = extreme(gradient_ascent, torch.tensor([-6e4, 0.0]), torch.tensor([2.0, 2.0]))
    near(gradient, [2.0, 2.0])


def test_stacked():
    stacked(gradient_ascent)
