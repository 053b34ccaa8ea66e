import torch

from lossbench.losses.preference.ipo import ipo
from tests.losses.support import extreme, near, same, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")


def test_limit():  # the policy at its reference: the square of the wanted margin; the minimum is at that margin
    chosen, rejected, *_ = sample(*WORDS)
    near(ipo(chosen, rejected, chosen, rejected, beta=0.25), 4.0)
    near(ipo(chosen + 2, rejected, chosen, rejected, beta=0.25), 0.0)


def test_oracle():  # equation 17, with the ratios as products of probabilities
    def loop(chosen, rejected, ref_chosen, ref_rejected, beta):
        losses = []
        for w, v, rw, rv in zip(chosen, rejected, ref_chosen, ref_rejected, strict=True):
            h = torch.log(torch.exp(w) * torch.exp(rv) / (torch.exp(v) * torch.exp(rw)))
            losses.append((h - beta**-1 / 2) ** 2)
        return torch.stack(losses)

    same(ipo, loop, beta=0.1)
    same(ipo, loop, beta=2.0)


def test_hand():  # h = (-2 + 3) - (-5 + 4) = 2, 1 / (2 beta) = 5
    near(ipo(*[torch.tensor([v]) for v in (-2.0, -5.0, -3.0, -4.0)], beta=0.1), 9.0)


def test_extreme():
    far = torch.tensor([-6e4, 0.0])
    extreme(ipo, far, far.flip(0), torch.zeros(2), torch.zeros(2))


def test_stacked():
    stacked(ipo, beta=[0.01, 0.1, 1.0])
