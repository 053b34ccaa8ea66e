import math

import torch
from scipy.stats import entropy

from lossbench.regularizers.attention_entropy import attention_entropy
from tests.losses.support import near, sample


def test_limit():  # equal attention has the largest entropy, log M; all on one instance has none; weight 0 is none
    near(attention_entropy(torch.zeros(3, 10, dtype=torch.float64), weight=2.0), [-2 * math.log(10)] * 3)
    near(attention_entropy(torch.tensor([[2e4, 0.0, 0.0]], dtype=torch.float64), weight=2.0), [0.0])
    near(attention_entropy(*sample("attention_scores"), weight=0.0), torch.zeros(6))


def test_oracle():  # scipy's entropy of the softmax
    (scores,) = sample("attention_scores")
    near(attention_entropy(scores, weight=0.3), -0.3 * torch.from_numpy(entropy(scores.softmax(-1).numpy(), axis=-1)))


def test_hand():  # a = (1/4, 3/4): 0.1 (1/4 log(1/4) + 3/4 log(3/4))
    scores = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    near(attention_entropy(scores, weight=0.1), [0.1 * (math.log(1 / 4) / 4 + 3 * math.log(3 / 4) / 4)])
