import math

import pytest
import torch
from scipy.optimize import minimize

from lossbench.reweightings.sequence_loss import sequence_loss
from tests.losses.support import near, sample

LATE = torch.tensor(0.9)
SCORES = {
    "linear_upper": lambda h: min(h + 1, 1),
    "upper": lambda h: 0.5 * h + 0.5,
    "quadratic": lambda h: 1 - h * h,
    "extremes": abs,
}


def all_count(losses):
    return torch.ones_like(losses, dtype=torch.bool)


def test_limit():  # no contrast between the weights, equal losses, the burn-in, one sequence
    (losses,) = sample("losses")
    near(sequence_loss(losses, all_count(losses), LATE, temperature=1e12), torch.ones(6))
    near(sequence_loss(torch.full((6,), 2.0), all_count(losses), LATE), torch.ones(6))
    near(sequence_loss(losses, all_count(losses), torch.tensor(0.05)), torch.ones(6))
    near(sequence_loss(losses[:1], all_count(losses[:1]), LATE), torch.ones(1))


@pytest.mark.parametrize("strategy", SCORES)
def test_oracle(strategy):  # the formula over the sequences, from the means of the tokens that count
    losses, mask = sample("losses", "mask", tokens=True)
    mask[2], mask[0] = False, True
    there = [i for i in range(6) if mask[i].any()]
    mean = [losses[i][mask[i]].mean().item() for i in there]
    low, high = min(mean), max(mean)
    h = [2 * m / (high - low) - (high + low) / (high - low) for m in mean]
    raw = [math.exp(SCORES[strategy](value) / 0.4) for value in h]
    found = sequence_loss(losses, mask, LATE, strategy=strategy, temperature=0.4)
    for place, i in enumerate(there):
        near(found[i], len(there) * raw[place] / sum(raw))


def test_maximises():  # sum_i w_i s_i - temperature KL(w || uniform) on the simplex, found by scipy
    (losses,) = sample("losses", B=4)
    h = 2 * (losses - losses.min()) / (losses.max() - losses.min()) - 1
    s = (1 - h.square()).numpy()

    def negative(w):
        return -(w @ s) + 0.7 * sum(w * torch.as_tensor(w * 4).log().numpy())

    solved = minimize(
        negative, [0.25] * 4, bounds=[(1e-9, 1)] * 4, constraints={"type": "eq", "fun": lambda w: sum(w) - 1}, tol=1e-12
    )
    near(sequence_loss(losses, all_count(losses), LATE, strategy="quadratic", temperature=0.7), 4 * solved.x, 1e-4)


def test_hand():  # losses 0, 1, 2: h = -1, 0, 1, scores 0, 1, 1
    losses = torch.tensor([0.0, 1, 2], dtype=torch.float64)
    e = math.e
    near(sequence_loss(losses, all_count(losses), LATE), [3 / (1 + 2 * e), 3 * e / (1 + 2 * e), 3 * e / (1 + 2 * e)])


def test_mean_weight_is_one():  # an infinite loss of a token that does not count changes nothing
    losses, mask = sample("losses", "mask", tokens=True)
    mask[0, 0] = False
    other = losses.clone()
    other[0, 0] = torch.inf
    found = sequence_loss(losses, mask, LATE)
    near(sequence_loss(other, mask, LATE), found)
    assert abs(found[:, 0].mean() - 1) < 1e-9
