import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.easyllp import easyllp
from lossbench.ops import one_hot
from tests.losses.support import near, sample


def test_limit():  # bags of one member: the proportions are its class
    logits, targets, prior = sample("logits", "targets", "class_prior")
    found = easyllp(logits.unsqueeze(1), one_hot(targets, 5, torch.float64), prior)
    near(found, cross_entropy(logits, targets))


def test_oracle():  # the definition, member by member and class by class
    logits, proportions, prior = sample("bag_logits", "proportions", "class_prior")
    expected = []
    for bag, alpha in zip(logits, proportions, strict=True):
        total = 0.0
        for member in bag:
            p = member.exp() / member.exp().sum()
            for c in range(5):
                total -= (10 * (alpha[c] - prior[c]) + prior[c]) * p[c].log()
        expected.append(total / 10)
    near(easyllp(logits, proportions, prior), torch.stack(expected))


def test_hand():  # two members with p = (1/4, 3/4), alpha = (1, 0), prior 1/2: t = (3/2, -1/2)
    logits = torch.tensor([0.0, math.log(3)], dtype=torch.float64).expand(1, 2, 2)
    found = easyllp(logits, torch.tensor([[1.0, 0.0]]).double(), torch.tensor([0.5, 0.5]).double())
    near(found, [1.5 * math.log(4) - 0.5 * math.log(4 / 3)])


def test_unbiased():  # averaged over every bag of three of four independent classes it is cross-entropy on the classes
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, generator=generator, dtype=torch.float64)  # of three inputs, in fixed places
    posterior = torch.randn(3, 4, generator=generator, dtype=torch.float64).softmax(-1)  # P(y | x) of each
    inputs = torch.tensor([0, 1, 2])
    prior = posterior.mean(0)  # each input is equally likely
    expected = -(posterior * logits.log_softmax(-1)).sum(-1).mean()
    found = torch.zeros((), dtype=torch.float64)
    for bag in torch.cartesian_prod(inputs, inputs, inputs):
        for classes in torch.cartesian_prod(*[torch.arange(4)] * 3):
            probability = posterior[bag, classes].prod() / 27
            alpha = one_hot(classes, 4, torch.float64).mean(0, keepdim=True)
            found += probability * easyllp(logits[bag].unsqueeze(0), alpha, prior)[0]
    near(found, expected)
