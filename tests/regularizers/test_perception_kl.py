import math

import torch

from lossbench.regularizers.perception_kl import perception_kl
from tests.losses.support import near, sample


def test_limit():  # nothing hidden that mattered, or weight 0
    logps, other = sample("token_logps", "masked_token_logps")
    near(perception_kl(logps, logps), 0.0)
    near(perception_kl(logps, other, weight=0.0), 0.0)


def test_oracle():  # its expectation under the policy is the KL divergence, exactly, on a small vocabulary
    p, q = torch.randn((2, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64).log_softmax(-1)
    exact = sum(math.exp(a) * (a - b) for a, b in zip(p.tolist(), q.tolist(), strict=True))
    near((p.exp() * perception_kl(p.unsqueeze(0), q.unsqueeze(0), weight=0.5)).sum(), -0.5 * exact)


def test_hand():  # d = log 2: 2 - 1 - log 2; d = 5: more than 10
    logps, other = torch.tensor([[-2.0, -7.0]]), torch.tensor([[-2.0 + math.log(2), -2.0]])
    near(perception_kl(logps, other, weight=0.1), [[-0.1 * (1 - math.log(2)), -1.0]], 1e-6)


def test_no_gradient_beyond_the_limit():
    logps = torch.tensor([[-5.0, -5.0]], requires_grad=True)
    perception_kl(logps, torch.tensor([[-2.3, -2.5]])).sum().backward()
    assert logps.grad[0, 0] == 0 and logps.grad[0, 1] > 0  # on minimising, the policy goes further away
