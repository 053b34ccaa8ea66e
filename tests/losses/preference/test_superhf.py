import math

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from lossbench.losses.preference.superhf import superhf
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("chosen_token_logps", "chosen_logits", "ref_chosen_logits", "chosen_mask")


def values():
    logps, *rest, mask = sample(*WORDS)
    mask[:, 0] = True
    return torch.where(mask, logps, 0.0), *rest, mask


def test_limit():  # the policy is its reference: the likelihood alone, which is what beta = 0 has too
    logps, logits, ref, mask = values()
    same = superhf(logps, logits, logits, mask, beta=0.7)
    near(same["kl"], 0.0)
    near(same["likelihood"], superhf(logps, logits, ref, mask, beta=0.0)["likelihood"])
    near(superhf(logps, logits, ref, mask, beta=0.0)["kl"], 0.0)


@pytest.mark.parametrize("direction", ["policy", "reference"])
def test_oracle(direction):  # torch's KL of categorical distributions, place by place
    logps, logits, ref, mask = values()
    found = superhf(logps, logits, ref, mask, direction=direction, beta=0.3)
    for i in range(len(mask)):
        places = mask[i].nonzero().flatten().tolist()
        kl = []
        for t in places:
            p, q = Categorical(logits=logits[i, t]), Categorical(logits=ref[i, t])
            kl.append(kl_divergence(*((p, q) if direction == "policy" else (q, p))).item())
        near(found["kl"][i], 0.3 * sum(kl) / len(kl))
        near(found["likelihood"][i], -sum(logps[i, t].item() for t in places) / len(places))


def test_hand():  # two tokens of log-probability -1 and -3, and one of a prompt; KL(3/4 1/4 || even) at one of them
    logps, mask = torch.tensor([[0.0, -1.0, -3.0]]), torch.tensor([[False, True, True]])
    logits = torch.tensor([[[5.0, 0.0], [math.log(3), 0.0], [0.0, 0.0]]])
    found = superhf(logps, logits, torch.zeros(1, 3, 2), mask, beta=0.5)
    near(found["likelihood"], 2.0)
    near(found["kl"], 0.25 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)), 1e-6)


def test_extreme():
    far = torch.tensor([[[6e4, 0.0, -6e4]], [[0.0, 6e4, 0.0]]])
    mask = torch.ones(2, 1, dtype=torch.bool)
    for direction in ("policy", "reference"):
        extreme(superhf, torch.tensor([[-6e4], [0.0]]), far, far.flip(-1), mask, direction=direction)


def test_stacked():
    stacked(superhf, beta=[0.0, 0.35, 1.0])
