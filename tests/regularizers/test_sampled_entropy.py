import math

import torch

from lossbench.regularizers.sampled_entropy import sampled_entropy
from tests.losses.support import near, sample


def test_limit():
    near(sampled_entropy(*sample("token_logps"), weight=0.0), 0.0)


def test_oracle():  # its mean under the policy is the entropy
    p = torch.randn((1, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64).log_softmax(-1)
    entropy = torch.distributions.Categorical(logits=p).entropy()
    near((p.exp() * sampled_entropy(p, weight=0.4)).sum(-1), 0.4 * entropy)


def test_hand():
    near(sampled_entropy(torch.tensor([[0.25, 0.5]]).log()), [[0.03 * math.log(4), 0.03 * math.log(2)]], 1e-6)
