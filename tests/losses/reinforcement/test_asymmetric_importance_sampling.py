import math

import torch

from lossbench.losses.reinforcement.asymmetric_importance_sampling import asymmetric_importance_sampling
from lossbench.losses.reinforcement.clipped_policy_gradient import clipped_policy_gradient
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("token_logps", "old_token_logps", "token_entropies", "advantages", "mask")


def gradient(values, logps):
    return torch.autograd.grad(values.sum(), logps)[0]


def test_limit():  # nothing has moved yet: the gradient of the clipped policy gradient
    logps, _, entropies, advantages, mask = sample(*WORDS, tokens=True)
    leaf = logps.clone().requires_grad_()
    values = asymmetric_importance_sampling(leaf, logps, entropies, advantages, mask)
    near(values, -advantages)
    near(gradient(values, leaf), gradient(clipped_policy_gradient(leaf, logps, advantages, mask), leaf))
    # Bad tokens alone, the same range for all of them, nothing cut: the clipped policy gradient
    bad = -advantages.abs()
    given = (logps, sample("old_token_logps")[0])
    own = asymmetric_importance_sampling(*given, entropies, bad, mask, widening=1.0, dual_clip=1e6)
    near(own, clipped_policy_gradient(*given, bad, mask))


def test_oracle():  # token by token: which of three regions it is in, its value and its gradient there
    seen = set()
    for seed in range(3):
        logps, old, entropies, advantages, mask = sample(*WORDS, tokens=True, seed=seed)
        mask[:, :2] = True
        leaf = logps.clone().requires_grad_()
        values = asymmetric_importance_sampling(leaf, old, entropies, advantages, mask, dual_clip=2.0)
        found = gradient(values, leaf)
        for i, t in mask.nonzero().tolist():
            uncertain = entropies[i, t] > torch.quantile(entropies[i, mask[i]], 0.8)
            width, a = (0.4 if uncertain else 0.2), advantages[i, t].item()
            rho = math.exp(logps[i, t] - old[i, t])
            if a < 0:
                clipped, end, weight = rho < 1 - width, 1 - width, rho
            else:
                clipped, end, weight = rho > 1 + width, 1 / (1 + width), 1 / rho
            if clipped:
                expected, slope, region = -a * end, 0.0, "clipped"
            else:
                cut = min(weight, 2.0)
                expected, slope, region = -a * cut, -a * cut, "cut" if weight > 2 else "inside"
            seen.add((region, a > 0, bool(uncertain)))
            near(values[i, t], expected)
            near(found[i, t], slope)
    assert len(seen) == 12


def test_hand():  # half and twice as likely as before; five times is cut at three
    old = torch.zeros(1, 6, dtype=torch.float64)
    rho = torch.tensor([[0.5, 0.5, 2.0, 2.0, 0.2, 5.0]], dtype=torch.float64)
    advantages = torch.tensor([[2.0, -2.0, 2.0, -2.0, 1.0, -1.0]], dtype=torch.float64)
    leaf = rho.log().requires_grad_()
    everywhere = torch.ones(1, 6, dtype=torch.bool)
    values = asymmetric_importance_sampling(leaf, old, old, advantages, everywhere, widening=1.0)
    near(values, [[-4.0, 1.6, -2 / 1.2, 4.0, -3.0, 3.0]])
    near(gradient(values, leaf), [[-4.0, 0.0, 0.0, 4.0, -3.0, 3.0]])


def test_uncertain():  # of six tokens one is above the 80 % quantile, of eleven two
    for number, wide in ((6, 1), (11, 2)):
        rho = torch.full((1, number), 1.3, dtype=torch.float64)
        entropies = torch.arange(float(number)).unsqueeze(0)
        good, everywhere = torch.ones(1, number), torch.ones(1, number, dtype=torch.bool)
        leaf = rho.log().requires_grad_()
        values = asymmetric_importance_sampling(leaf, torch.zeros(1, number), entropies, good, everywhere)
        moves = gradient(values, leaf)[0] != 0
        assert moves.tolist() == [False] * (number - wide) + [True] * wide


def test_extreme():
    far = torch.tensor([[-6e4, 0.0], [0.0, -6e4]])
    for sign in (-1.0, 1.0):
        advantages = torch.full((2, 2), sign)
        mask = torch.ones(2, 2, dtype=torch.bool)
        extreme(asymmetric_importance_sampling, far, far.flip(-1), far.abs(), advantages, mask)


def test_stacked():
    masks = {"mask": [sample("mask", tokens=True, seed=seed)[0] for seed in range(3)]}
    sweep = {"clip_low": [0.1, 0.2, 0.3], "widening": [1.0, 2.0, 3.0], "dual_clip": [1.0, 2.0, 3.0]}
    stacked(asymmetric_importance_sampling, masks, **sweep)
