import math

import torch
from scipy.stats import entropy

from lossbench.regularizers.confidence_penalty import confidence_penalty
from tests.losses.support import near, same, sample


def test_limit():  # equal logits have the largest entropy, log C; a certain prediction has none; weight 0 is no penalty
    near(confidence_penalty(torch.zeros(3, 5, dtype=torch.float64), weight=2.0), [-2 * math.log(5)] * 3)
    near(confidence_penalty(torch.tensor([[2e4, 0.0, 0.0]], dtype=torch.float64), weight=2.0), [0.0])
    same(confidence_penalty, lambda logits: torch.zeros(logits.shape[:-1], dtype=torch.float64), weight=0.0)


def test_oracle():  # scipy's entropy of the softmax
    for tokens in (False, True):
        (logits,) = sample("logits", tokens=tokens)
        near(
            confidence_penalty(logits, weight=0.3),
            -0.3 * torch.from_numpy(entropy(logits.softmax(-1).numpy(), axis=-1)),
        )


def test_hand():  # p = (1/4, 3/4): 0.1 (1/4 log(1/4) + 3/4 log(3/4))
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    near(confidence_penalty(logits, weight=0.1), [0.1 * (math.log(1 / 4) / 4 + 3 * math.log(3 / 4) / 4)])
