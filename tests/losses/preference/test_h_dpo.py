import math

import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.h_dpo import h_dpo
from tests.losses.support import extreme, near, same, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")


def test_limit():  # alpha = 1 is dpo
    same(h_dpo, dpo, alpha=1.0, beta=0.3)


def test_oracle():  # the loss of the paper with probabilities, pair by pair
    def loop(chosen, rejected, ref_chosen, ref_rejected, alpha, beta):
        losses = []
        for w, v, rw, rv in zip(chosen, rejected, ref_chosen, ref_rejected, strict=True):
            odds = (w.exp() ** alpha / rw.exp()) ** beta / (v.exp() ** alpha / rv.exp()) ** beta
            losses.append((1 + 1 / odds).log())
        return torch.stack(losses)

    same(h_dpo, loop, alpha=0.9, beta=0.3)
    same(h_dpo, loop, alpha=1.4, beta=0.3)


def test_hand():  # alpha 1/2, beta 1: (-1 + 3) - (-3 + 3) = 2, not (-2 + 3) - (-6 + 3) = 4
    given = [torch.tensor([v], dtype=torch.float64) for v in (-2.0, -6.0, -3.0, -3.0)]
    near(h_dpo(*given, alpha=0.5, beta=1.0), math.log(1 + math.exp(-2)))


def test_not_log_2_at_the_reference():
    chosen, rejected, *_ = sample(*WORDS)
    values = h_dpo(chosen, rejected, chosen, rejected, alpha=0.5, beta=1.0)
    near(values, (1 + ((chosen - rejected) / 2).exp()).log())


def test_extreme():
    far = torch.tensor([-6e4, 0.0])
    extreme(h_dpo, far, far.flip(0), torch.zeros(2), torch.zeros(2))


def test_stacked():
    stacked(h_dpo, alpha=[0.8, 1.0, 1.2], beta=[0.01, 0.1, 1.0])
