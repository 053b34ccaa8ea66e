import math

import torch

from lossbench.losses.preference.dpo import dpo
from tests.losses.support import extreme, near, same, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")


def test_limit():  # the policy at its reference: log 2 whatever beta; smoothing of 1/2 would see no difference of sides
    chosen, rejected, *_ = sample(*WORDS)
    for beta in (0.01, 0.1, 3.0):
        near(dpo(chosen, rejected, chosen, rejected, beta=beta), math.log(2))
    values = sample(*WORDS)
    swapped = [values[i] for i in (1, 0, 3, 2)]
    near(dpo(*values, label_smoothing=0.5), dpo(*swapped, label_smoothing=0.5))


def test_oracle():  # equation 7 with probabilities, pair by pair; smoothed: a mixture of both labels
    def loop(chosen, rejected, ref_chosen, ref_rejected, beta, label_smoothing):
        losses = []
        for w, v, rw, rv in zip(chosen, rejected, ref_chosen, ref_rejected, strict=True):
            p = 1 / (1 + (torch.exp(v) / torch.exp(rv)) ** beta / (torch.exp(w) / torch.exp(rw)) ** beta)
            losses.append(-(1 - label_smoothing) * p.log() - label_smoothing * (1 - p).log())
        return torch.stack(losses)

    same(dpo, loop, beta=0.1, label_smoothing=0.0)
    same(dpo, loop, beta=0.7, label_smoothing=0.2)


def test_hand():  # log-ratios 1 + log 9 and 1, beta 1/2: sigmoid(log 3) = 3/4; smoothed by 1/4: also -log(1/4) / 4
    given = [torch.tensor([v], dtype=torch.float64) for v in (-2.0, -5.0, -3 - math.log(9), -6.0)]
    near(dpo(*given, beta=0.5), math.log(4 / 3))
    near(dpo(*given, beta=0.5, label_smoothing=0.25), 0.75 * math.log(4 / 3) + 0.25 * math.log(4))


def test_extreme():
    far = torch.tensor([-6e4, -6e4, 0.0])
    _, gradients = extreme(dpo, far, far.flip(0), torch.zeros(3), torch.zeros(3))
    near(gradients[0], [-0.1, -0.05, 0.0], 1e-6)


def test_stacked():
    stacked(dpo, beta=[0.01, 0.1, 1.0], label_smoothing=[0.0, 0.1, 0.2])
