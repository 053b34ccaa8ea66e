import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.focal_distillation import focal_distillation
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("logits", "targets", "old_logits")


def test_limit():  # no weights: cross-entropy; an old model that scores like the new one has nothing to teach
    logits, targets, old = sample(*WORDS)
    terms = focal_distillation(logits, targets, old, base_weight=0.0, focus_weight=0.0)
    near(sum(terms.values()), cross_entropy(logits, targets))
    near(focal_distillation(logits, targets, logits[:, :3] + 7)["distillation"], 0.0)


def test_oracle():  # torch.distributions' divergence over the first three classes, also per token
    for tokens in (False, True):
        logits, targets, old = sample(*WORDS, tokens=tokens, B=30)
        terms = focal_distillation(logits, targets, old, base_weight=0.5, focus_weight=3.0, temperature=2.0)
        before, after = (torch.distributions.Categorical(logits=s / 2) for s in (old, logits[..., :3]))
        right = (old.argmax(-1) == targets).double()
        assert 0 < right.sum() < right.numel()
        near(terms["distillation"], (0.5 + 3.0 * right) * torch.distributions.kl_divergence(before, after))
        near(terms["cross_entropy"], cross_entropy(logits, targets))


def test_hand():  # T = 1, old (1/4, 3/4) for classes 0 and 1, new (1/2, 1/2); it is right on class 1: weight 1 + 5
    logits, old = torch.zeros(3, 4, dtype=torch.float64), torch.tensor([[0.0, math.log(3)]] * 3, dtype=torch.float64)
    divergence = math.log(2) - math.log(4) / 4 - 3 / 4 * math.log(4 / 3)
    terms = focal_distillation(logits, torch.tensor([0, 1, 3]), old, temperature=1.0)
    near(terms["distillation"], [divergence, 6 * divergence, divergence])
    near(terms["cross_entropy"], math.log(4))


def test_extreme():  # T = 5: the old model is sure of class 0, the new one of class 1: 6 * 4e4 / 5
    logits, targets = torch.tensor([[-2e4, 2e4, 0.0]]), torch.tensor([0])
    values, gradients = extreme(focal_distillation, logits, targets, torch.tensor([[2e4, -2e4]]))
    near(values[0], [4e4])
    near(values[1], [6 * 4e4 / 5])
    near(gradients[1], [[0, 0]])


def test_stacked():
    stacked(focal_distillation, base_weight=[0.0, 1.0, 2.0], focus_weight=[5.0, 1.0, 0.0], temperature=[1.0, 5.0, 0.5])
