import math

import torch
from torch.distributions import Categorical, kl_divergence

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.distillation.alpha_divergence_distillation import alpha_divergence_distillation
from lossbench.losses.distillation.supernet_distillation import supernet_distillation
from tests.losses.support import near, sample


def test_limit():  # no smoothing is cross-entropy; sub-networks that answer as the whole model does pay nothing
    logits, targets = sample("logits", "targets")
    terms = supernet_distillation(logits, targets, logits.unsqueeze(1).expand(-1, 3, -1), label_smoothing=0.0)
    near(terms["cross_entropy"], cross_entropy(logits, targets))
    near(terms["distillation"], 0.0)


def test_oracle():  # torch's smoothed cross-entropy; orders of 1 are torch.distributions' KL, summed over sub-networks
    logits, targets, subnets = sample("logits", "targets", "subnet_logits")
    terms = supernet_distillation(logits, targets, subnets, alpha_low=1.0, label_smoothing=0.2)
    smoothed = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.2, reduction="none")
    near(terms["cross_entropy"], smoothed)
    whole = Categorical(logits=logits)
    near(terms["distillation"], sum(kl_divergence(whole, Categorical(logits=s)) for s in subnets.unbind(1)))


def test_each_chooses_its_order():  # sub-network by sub-network, and no gradient for the whole model as a teacher
    logits, targets, subnets = sample("logits", "targets", "subnet_logits")
    logits.requires_grad_()
    term = supernet_distillation(logits, targets, subnets)["distillation"]
    near(term, sum(alpha_divergence_distillation(s, logits) for s in subnets.unbind(1)))
    assert not term.requires_grad


def test_hand():  # p = (1/4, 3/4), two even sub-networks, order -1 alone: twice 1/6
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    terms = supernet_distillation(logits, torch.tensor([0]), torch.zeros(1, 2, 2).double(), alpha_high=-1.0)
    near(terms["distillation"], [1 / 3])
    near(terms["cross_entropy"], [0.9 * math.log(4) + 0.1 * (math.log(4) + math.log(4 / 3)) / 2])
