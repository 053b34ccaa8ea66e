import math

import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.ranking_pairs import ranking_pairs
from tests.losses.support import extreme, near, same, sample, stacked

WORDS = ("ranking_logps", "ref_ranking_logps")


def test_limit():  # two completions are a pair: dpo
    logps, ref = sample(*WORDS, R=2)
    near(ranking_pairs(logps, ref, beta=0.3), dpo(logps[:, 0], logps[:, 1], ref[:, 0], ref[:, 1], beta=0.3))


def test_oracle():  # the sum over pairs, with exponentials of rewards
    def loop(logps, ref, beta):
        losses = []
        for row, ref_row in zip(logps, ref, strict=True):
            r = [torch.exp(beta * (a - b)) for a, b in zip(row, ref_row, strict=True)]
            pairs = [(j, k) for k in range(len(r)) for j in range(k)]
            losses.append(-sum(torch.log(r[j] / (r[j] + r[k])) for j, k in pairs))
        return torch.stack(losses)

    same(ranking_pairs, loop, beta=0.3)


def test_hand():  # rewards log 2, 0, 0: 2/3 twice, 1/2 once
    logps = torch.tensor([[math.log(2), 0.0, 0.0]], dtype=torch.float64)
    near(ranking_pairs(logps, torch.zeros_like(logps), beta=1.0), 2 * math.log(3 / 2) + math.log(2))


def test_extreme():
    far = torch.tensor([[-6e4, 0.0, 6e4], [6e4, 0.0, -6e4]])
    extreme(ranking_pairs, far, torch.zeros(2, 3))


def test_stacked():
    stacked(ranking_pairs, beta=[0.01, 0.1, 1.0])
