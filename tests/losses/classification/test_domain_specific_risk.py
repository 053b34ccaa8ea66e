import math

import torch
import torch.nn.functional as F

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.domain_specific_risk import domain_specific_risk
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # heads that are alike: cross-entropy
    logits, targets, groups = sample("logits", "targets", "groups")
    alike = logits.unsqueeze(-2).expand(-1, 3, -1)
    near(domain_specific_risk(alike, targets, groups), cross_entropy(logits, targets))


def test_oracle():  # example by example with torch's cross-entropy
    for tokens in (False, True):
        logits, targets, groups = sample("domain_logits", "targets", "groups", tokens=tokens, seed=1)
        assert {0, 1} <= set(groups.flatten().tolist())
        each = zip(logits.view(-1, 3, 5), targets.flatten(), groups.flatten(), strict=True)
        expected = [(F.cross_entropy(z[g], y) + F.cross_entropy(z[2], y)) / 2 for z, y, g in each]
        near(domain_specific_risk(logits, targets, groups), torch.stack(expected).view(targets.shape))


def test_hand():  # p of the own head 1/2, of the shared one 1/4, of the other domain's 1: it counts nothing
    p = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]]], dtype=torch.float64)
    logits = p.clamp(min=1e-30).log()
    near(domain_specific_risk(logits, torch.tensor([0]), torch.tensor([1])), [(math.log(2) + math.log(4)) / 2])


def test_gradient():  # none for the heads of other domains
    logits, targets, groups = sample("domain_logits", "targets", "groups")
    logits.requires_grad_()
    domain_specific_risk(logits, targets, groups).sum().backward()
    assert (logits.grad[torch.arange(6), 1 - groups] == 0).all()
    assert (logits.grad[torch.arange(6), groups] != 0).any(-1).all() and (logits.grad[:, 2] != 0).any(-1).all()


def test_extreme():  # own head wrong by 4e4, shared one right
    logits = torch.tensor([[[-2e4, 2e4], [0.0, 0.0], [2e4, -2e4]]])
    near(extreme(domain_specific_risk, logits, torch.tensor([0]), torch.tensor([0]))[0][0], [2e4])


def test_stacked():
    stacked(domain_specific_risk)
