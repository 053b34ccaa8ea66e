import math

import torch

from lossbench.losses.reinforcement.kl_covariance import kl_covariance
from lossbench.losses.reinforcement.policy_gradient import policy_gradient
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("token_logps", "old_token_logps", "advantages", "mask")


def test_limit():  # none held back; where nothing has moved, the gradient is that of the policy gradient
    logps, old, advantages, mask = sample(*WORDS, tokens=True)
    near(kl_covariance(logps, old, advantages, mask, fraction=0.0), -advantages * (logps - old).exp())
    near(kl_covariance(logps, old, advantages, mask, weight=0.0), -advantages * (logps - old).exp())
    leaf = logps.clone().requires_grad_()
    own = torch.autograd.grad(kl_covariance(leaf, logps, advantages, mask, fraction=0.3).sum(), leaf)[0]
    near(own, torch.autograd.grad(policy_gradient(leaf, advantages).sum(), leaf)[0])


def test_oracle():  # with loops and a sorted list
    for seed in range(3):
        logps, old, advantages, mask = sample(*WORDS, tokens=True, seed=seed)
        found = kl_covariance(logps, old, advantages, mask, fraction=0.2, weight=0.7)
        places = mask.nonzero().tolist()
        mean_a = sum(advantages[i, t].item() for i, t in places) / len(places)
        mean_l = sum(logps[i, t].item() for i, t in places) / len(places)
        ordered = sorted(places, key=lambda p: (advantages[*p].item() - mean_a) * (logps[*p].item() - mean_l))
        held = {tuple(p) for p in ordered[-int(0.2 * len(places)) :]}
        for i, t in places:
            change = (logps[i, t] - old[i, t]).item()
            near(found[i, t], -advantages[i, t].item() * math.exp(change) + 0.7 * abs(change) * ((i, t) in held))
    assert 1 < len(held) < len(places)


def test_hand():  # c = 2, -2, -2, 2.5 of the tokens that count: the last one is held back, at least one always is
    logps = torch.tensor([[-1.0, -3.0, -1.0, -3.5, -100.0]], dtype=torch.float64)
    old = torch.tensor([[-1.0, -3.0, -1.0, -3.0, -100.0]], dtype=torch.float64)
    advantages = torch.tensor([[2.0, 2.0, -2.0, -2.0, -9.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True, True, False]])
    found = kl_covariance(logps, old, advantages, mask, fraction=0.01, weight=3.0)
    near(found[:, :4], [[-2.0, -2.0, 2.0, 2 * math.exp(-0.5) + 1.5]])


def test_extreme():
    far, mask = torch.tensor([[-6e4, 0.0], [0.0, -6e4]]), torch.ones(2, 2, dtype=torch.bool)
    extreme(kl_covariance, far, far.flip(-1), torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), mask, fraction=1.0)


def test_stacked():
    masks = {"mask": [sample("mask", tokens=True, seed=seed)[0] for seed in range(3)]}
    stacked(kl_covariance, masks, fraction=[0.1, 0.3, 0.0], weight=[0.5, 1.0, 2.0])
