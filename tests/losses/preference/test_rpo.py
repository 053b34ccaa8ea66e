import math

import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.rpo import rpo
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")


def test_limit():  # eta = 0 is dpo
    values = sample(*WORDS)
    found = rpo(*values, eta=0.0, beta=0.3)
    near(found["preference"], dpo(*values, beta=0.3))
    near(found["likelihood"], 0.0)


def test_oracle():  # the objective written out, pair by pair
    values = sample(*WORDS)
    found = rpo(*values, eta=0.7, beta=0.3)
    total = found["preference"] + found["likelihood"]
    for i, (w, v, rw, rv) in enumerate(zip(*[t.tolist() for t in values], strict=True)):
        p = 1 / (1 + math.exp(-0.3 * (w - rw - v + rv)))
        near(total[i], -math.log(p) - 0.7 * 0.3 * w)


def test_hand():  # at the reference, log pi(w) = -5, eta 2, beta 1/2: log 2 + 5
    found = rpo(*[torch.tensor([v], dtype=torch.float64) for v in (-5.0, -3.0, -5.0, -3.0)], eta=2.0, beta=0.5)
    near(found["preference"], math.log(2))
    near(found["likelihood"], 5.0)


def test_extreme():
    far = torch.tensor([-6e4, 0.0])
    extreme(rpo, far, far.flip(0), torch.zeros(2), torch.zeros(2))


def test_stacked():
    stacked(rpo, beta=[0.01, 0.1, 1.0], eta=[0.0, 0.005, 1.0])
