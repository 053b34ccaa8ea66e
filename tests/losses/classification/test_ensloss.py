import math

import torch
from torch.autograd import grad

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.ensloss import ensloss
from lossbench.ops import margin
from tests.losses.support import near, sample


def pair(seed=0):  # two classes, margins from about -6 to 6
    logits, targets, noise = sample("logits", "targets", "example_noise", seed=seed, C=2, B=12)
    return 2 * logits, targets, noise


def slopes(logits, targets, noise, **hyperparameters):  # of the loss in each margin, from the gradient in the scores
    logits = logits.clone().requires_grad_()
    (gradient,) = grad(ensloss(logits, targets, noise, **hyperparameters), logits)
    return len(logits) * gradient.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def test_limit():  # noise without end: every slope is -1, as of the hinge without its corner, -1 / s beyond 1
    logits, targets, noise = pair()
    s = margin(logits, targets)
    near(slopes(logits, targets, torch.full_like(noise, 9.0)), torch.where(s > 1, -1 / s, -1.0) - 1e-6)
    near(slopes(logits, targets, torch.full_like(noise, -99.0)), torch.full((12,), -1e-6), 1e-12)
    # with the noise whose slopes are those of the logistic loss, it has the gradient of cross-entropy, below the tail
    logits = logits / logits.abs().max() / 2
    s = margin(logits, targets)
    leaf = logits.clone().requires_grad_()
    (gradient,) = grad(cross_entropy(leaf, targets).mean(), leaf)
    of_margin = 12 * gradient.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    near(of_margin, -torch.sigmoid(-s))
    shuffled = torch.sigmoid(-s).log()[torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    near(slopes(logits, targets, shuffled), of_margin - 1e-6)


def test_oracle():  # the recipe, in plain Python
    for seed, power in ((0, 0.0), (1, 0.7), (2, -0.5), (3, -1.0), (4, 1.0)):
        logits, targets, noise = pair(seed)
        s = margin(logits, targets).tolist()
        raw = []
        for u in noise.tolist():
            if power == 0:
                h = math.exp(u)
            else:
                base = max(1 + power * u, 0.0)
                h = base ** (1 / power) if base or power > 0 else math.inf
            raw.append(-min(h, 1.0))
        given = dict(zip(sorted(range(12), key=s.__getitem__), sorted(raw), strict=True))
        g = [given[i] * (1 / s[i] if s[i] > 1 else 1) - 1e-6 for i in range(12)]
        near(slopes(logits, targets, noise, power=power), g)
        near(ensloss(logits, targets, noise, power=power), sum(a * b for a, b in zip(g, s, strict=True)) / 12)
        below = [i for i in sorted(range(12), key=s.__getitem__) if s[i] <= 1]
        assert all(a < 0 for a in g) and [g[i] for i in below] == sorted(g[i] for i in below)


def test_hand():  # margins 3 and -1, noise log(1/2) and 1: slopes -1 for the second, -1/2 * 1/3 for the first
    logits = torch.tensor([[3.0, 0.0], [-1.0, 0.0]]).double()
    noise = torch.tensor([1.0, math.log(0.5)]).double()
    near(ensloss(logits, torch.tensor([0, 0]), noise), (-1 / 6 * 3 + 1 - 1e-6 * (3 - 1)) / 2, 1e-7)
