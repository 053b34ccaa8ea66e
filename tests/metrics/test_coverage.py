import math

import torch

from lossbench.metrics.coverage import pass_at
from tests.losses.support import near


def test_oracle():  # 1 - (1 - p)^n over the sequences that have a token
    draw = torch.Generator().manual_seed(0)
    log_p = -torch.rand(9, 5, generator=draw, dtype=torch.float64) * 4
    counts = torch.rand(9, 5, generator=draw) < 0.4
    counts[3] = False
    p = [math.exp(log_p[i][counts[i]].sum()) for i in range(9) if counts[i].any()]
    found = pass_at(log_p, counts, samples=(1, 7))
    near(found["pass_7"], sum(1 - (1 - q) ** 7 for q in p) / len(p))
    near(found["pass_1"], sum(p) / len(p))


def test_hand():  # p = 1/2 and 1, two samples: (3/4 + 1) / 2; tokens that do not count may be anything
    log_p = torch.tensor([[math.log(0.5), torch.nan], [0.0, -torch.inf]], dtype=torch.float64)
    found = pass_at(log_p, torch.tensor([[True, False], [True, False]]), samples=(2,))
    near(found["pass_2"], 7 / 8)


def test_sampling():  # the share of trials in which one of 16 draws is the answer
    p = torch.tensor([0.02, 0.1, 0.5], dtype=torch.float64)
    found = (torch.rand(4000, 3, 16, generator=torch.Generator().manual_seed(1)) < p.view(1, 3, 1)).any(-1)
    near(pass_at(p.log().unsqueeze(1), torch.ones(3, 1, dtype=torch.bool))["pass_16"], found.double().mean(), 0.01)
