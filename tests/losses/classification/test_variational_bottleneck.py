import math

import torch
from torch.distributions import Normal, kl_divergence

from lossbench.losses.classification.sampled_cross_entropy import sampled_cross_entropy
from lossbench.losses.classification.variational_bottleneck import variational_bottleneck
from tests.losses.support import near, sample

WORDS = ("sampled_logits", "targets", "latent_mean", "latent_scale")


def test_limit():  # weight 0 is the sampled cross-entropy; a Gaussian that is the prior tells nothing
    logits, targets, mean, scale = sample(*WORDS)
    terms = variational_bottleneck(logits, targets, mean, scale, weight=0.0)
    near(terms["cross_entropy"] + terms["rate"], sampled_cross_entropy(logits, targets))
    near(variational_bottleneck(logits, targets, 0 * mean, 0 * scale + 1, weight=3.0)["rate"], torch.zeros(6))


def test_oracle():  # torch's divergence of Gaussians, summed over the axes
    logits, targets, mean, scale = sample(*WORDS)
    expected = kl_divergence(Normal(mean, scale), Normal(0.0, 1.0)).sum(-1)
    near(variational_bottleneck(logits, targets, mean, scale, weight=0.7)["rate"], 0.7 * expected)


def test_hand():  # mean 2, scale 1/2: (4 + 1/4 - 1 + 2 log 2) / 2 nats
    logits, targets, *_ = sample(*WORDS, B=1)
    mean, scale = torch.tensor([[2.0]]).double(), torch.tensor([[0.5]]).double()
    near(variational_bottleneck(logits, targets, mean, scale, weight=1.0)["rate"], [3.25 / 2 + math.log(2)])
