import math

import torch

from lossbench.losses.reinforcement.clip_covariance import clip_covariance
from lossbench.losses.reinforcement.clipped_policy_gradient import clipped_policy_gradient
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("token_logps", "old_token_logps", "advantages", "mask", "token_uniforms")


def values(seed=0):
    return sample(*WORDS, tokens=True, seed=seed)


def test_limit():  # no part of the tokens, or none in the bounds
    logps, old, advantages, mask, uniforms = values()
    expected = clipped_policy_gradient(logps, old, advantages, mask)
    near(clip_covariance(logps, old, advantages, mask, uniforms, fraction=0.0), expected)
    near(clip_covariance(logps, old, advantages, mask, uniforms, fraction=1.0, lowest=1e3, highest=1e4), expected)


def test_oracle():  # with loops: who may be left out, then the largest draws of them
    left_out, barred = 0, 0
    for seed in range(3):
        logps, old, advantages, mask, uniforms = values(seed)
        found = clip_covariance(logps, old, advantages, mask, uniforms, fraction=0.15, lowest=-0.5, highest=0.5)
        places = mask.nonzero().tolist()
        mean_a = sum(advantages[i, t].item() for i, t in places) / len(places)
        mean_l = sum(logps[i, t].item() for i, t in places) / len(places)
        allowed = []
        for i, t in places:
            a, rho = advantages[i, t].item(), math.exp(logps[i, t] - old[i, t])
            inside = -0.5 < (a - mean_a) * (logps[i, t].item() - mean_l) < 0.5
            clipped = (a > 0 and rho > 1.2) or (a < 0 and rho < 0.8)
            barred += inside and clipped
            if inside and not clipped:
                allowed.append((uniforms[i, t].item(), i, t))
        out = {(i, t) for _, i, t in sorted(allowed, reverse=True)[: int(0.15 * len(places))]}
        left_out += len(out)
        assert len(out) < len(allowed)
        for i, t in places:
            a, rho = advantages[i, t].item(), math.exp(logps[i, t] - old[i, t])
            plain = max(-a * rho, -a * min(max(rho, 0.8), 1.2))
            near(found[i, t], 0.0 if (i, t) in out else plain)
    assert left_out > 5 and barred > 0


def test_hand():  # means 0 and -2, c = 2, -2, -2, 2: of the first and the last one the one with the larger draw
    logps = torch.tensor([[-1.0, -3.0, -1.0, -3.0]], dtype=torch.float64, requires_grad=True)
    advantages = torch.tensor([[2.0, 2.0, -2.0, -2.0]], dtype=torch.float64)
    everywhere = torch.ones(1, 4, dtype=torch.bool)
    uniforms = torch.tensor([[0.7, 0.9, 0.8, 0.6]])
    found = clip_covariance(logps, logps.detach(), advantages, everywhere, uniforms)
    near(found, [[0.0, -2.0, 2.0, 2.0]])
    near(torch.autograd.grad(found.sum(), logps)[0], [[0.0, -2.0, 2.0, 2.0]])


def test_extreme():
    far, mask = torch.tensor([[-6e4, 0.0], [0.0, -6e4]]), torch.ones(2, 2, dtype=torch.bool)
    extreme(clip_covariance, far, far.flip(-1), torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), mask, torch.rand(2, 2))


def test_stacked():
    masks = {"mask": [sample("mask", tokens=True, seed=seed)[0] for seed in range(3)]}
    masks["token_uniforms"] = [sample("token_uniforms", tokens=True, seed=seed)[0] for seed in range(3)]
    stacked(clip_covariance, masks, fraction=[0.1, 0.2, 0.0], lowest=[0.0, 0.1, 0.2], clip_low=[0.1, 0.2, 0.3])
