import math

import torch
from scipy.special import logsumexp

from lossbench.losses.language.linear_cross_entropy import linear_cross_entropy
from lossbench.regularizers.z_loss import z_loss
from tests.losses.support import near, same, sample


def test_limit():  # log-probabilities have a normaliser of 1: no penalty, and a shift by s costs s squared
    (logits,) = sample("logits")
    near(z_loss(logits.log_softmax(-1), weight=2.0), torch.zeros(len(logits)))
    near(z_loss(logits.log_softmax(-1) + 3, weight=2.0), torch.full((len(logits),), 18.0))
    same(z_loss, lambda logits: torch.zeros(logits.shape[:-1], dtype=torch.float64), weight=0.0)


def test_oracle():  # scipy's, and the term of the loss that forms no logits
    (logits,) = sample("logits", tokens=True)
    near(z_loss(logits, weight=0.3), 0.3 * torch.from_numpy(logsumexp(logits.numpy(), axis=-1)) ** 2)
    features, weight, targets = sample("features", "head_weight", "targets", tokens=True)
    near(
        z_loss(features @ weight.T, weight=0.3),
        linear_cross_entropy(features, weight, targets, None, z_weight=0.3)["z"],
    )


def test_hand():  # four equal logits of 1: log(4 e) = 1 + log 4
    near(z_loss(torch.ones(1, 4, dtype=torch.float64), weight=0.5), [0.5 * (1 + math.log(4)) ** 2])
