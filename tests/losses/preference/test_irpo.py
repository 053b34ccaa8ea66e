import math

import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.irpo import irpo
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps", "chosen_lengths")


def test_limit():  # alpha = 0 is dpo
    values = sample(*WORDS)
    found = irpo(*values, alpha=0.0, beta=0.3)
    near(found["preference"], dpo(*values[:4], beta=0.3))
    near(found["likelihood"], 0.0)


def test_oracle():  # equation 1 pair by pair: each pair by its own length
    values = sample(*WORDS)
    found = irpo(*values, alpha=0.7, beta=0.3)
    for i, (w, v, rw, rv, length) in enumerate(zip(*[t.tolist() for t in values], strict=True)):
        p = 1 / (1 + math.exp(-0.3 * (w - rw - v + rv)))
        near(found["preference"][i] + found["likelihood"][i], -math.log(p) - 0.7 * w / length)


def test_hand():  # at the reference, -6 over 3 tokens, alpha 1/2: 1
    found = irpo(*[torch.tensor([v], dtype=torch.float64) for v in (-6.0, -3.0, -6.0, -3.0, 3.0)], alpha=0.5)
    near(found["preference"], math.log(2))
    near(found["likelihood"], 1.0)


def test_extreme():
    far = torch.tensor([-6e4, 0.0])
    extreme(irpo, far, far.flip(0), torch.zeros(2), torch.zeros(2), torch.ones(2))


def test_stacked():
    stacked(irpo, beta=[0.01, 0.1, 1.0], alpha=[0.0, 0.5, 1.0])
