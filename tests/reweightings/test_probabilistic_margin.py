import math

import torch

from lossbench.reweightings.probabilistic_margin import probabilistic_margin
from tests.losses.support import near, sample

LATE = torch.tensor(0.9)


def test_limit():  # no slope, or before its time: all weigh the same; a steep one: only margins below offset
    logits, targets = sample("logits", "targets")
    near(probabilistic_margin(logits, targets, LATE, slope=0.0), [1.0] * 6)
    near(probabilistic_margin(logits, targets, torch.tensor(0.5)), [1.0] * 6)
    near(probabilistic_margin(logits, targets, torch.tensor(0.5), start=0.5).mean(), 1.0)
    p = logits.softmax(-1)
    margins = [p[i, y] - max(p[i, c] for c in range(5) if c != y) for i, y in enumerate(targets)]
    weights = probabilistic_margin(logits, targets, LATE, slope=1e5, offset=float(sorted(margins)[2]) + 1e-3)
    assert ((weights > 0.5).nonzero().flatten().tolist()) == sorted(sorted(range(6), key=margins.__getitem__)[:3])


def test_oracle():  # as the authors' code writes it, with the runner-up from the two largest; normalised
    logits, targets = sample("logits", "targets")
    p = logits.softmax(1)
    true = p.gather(1, targets[:, None])[:, 0]
    values, places = p.topk(2)
    among = (places == targets[:, None]).any(1)
    runner_up = torch.where(among, values.sum(1) - true, values[:, 0])
    expected = torch.sigmoid((runner_up - true + 0.2) * 3)
    near(probabilistic_margin(logits, targets, LATE, slope=3.0, offset=0.2), 6 * expected / expected.sum())


def test_hand():  # p = (3/4, 1/4): margins 1/2 and -1/2; with slope 2 log 2: sigmoid(0) = 1/2, sigmoid(2 log 2) = 4/5
    logits = torch.tensor([[math.log(3), 0.0]] * 2, dtype=torch.float64)
    weights = probabilistic_margin(logits, torch.tensor([0, 1]), LATE, slope=2 * math.log(2))
    near(weights, [2 * 0.5 / 1.3, 2 * 0.8 / 1.3])


def test_certain():  # everything right by far: still weights, of mean 1
    weights = probabilistic_margin(2e4 * torch.eye(5), torch.arange(5), LATE, slope=1e4)
    near(weights, [1.0] * 5, 1e-6)
