import math

import torch
from scipy.stats import wasserstein_distance
from torch.nn import functional as F

from lossbench.losses.language.number_token import number_token
from tests.losses.support import near, sample

DIGITS = torch.tensor([torch.nan, 3.0, 0.0, 8.0, torch.nan, 4.0, 1.5])


def scores(*shape, seed=0):
    return torch.randn(*shape, len(DIGITS), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_limit():  # no weight, no number among the targets, no number at all: cross-entropy
    logits, targets = scores(5), torch.tensor([0, 1, 2, 4, 6])
    values = number_token(logits, targets, DIGITS, weight=0.0)
    near(values["cross_entropy"] + values["number"], F.cross_entropy(logits, targets, reduction="none"))
    near(number_token(logits, targets, DIGITS)["number"][[0, 3]], [0.0, 0.0])
    near(number_token(logits, targets, torch.full((7,), torch.nan))["number"], torch.zeros(5))


def test_oracle():  # scipy's Wasserstein distance between the numbers' own softmax and the right number; the means
    numbers = [1, 2, 3, 5, 6]
    for seed in range(3):
        logits, targets = scores(5, seed=seed), torch.tensor(numbers)
        mass = logits[:, numbers].exp()
        share, values = mass / mass.sum(1, keepdim=True), DIGITS[numbers].double()
        expected = [wasserstein_distance(values, [values[i]], share[i]) for i in range(5)]
        near(number_token(logits, targets, DIGITS, weight=1.0)["number"], expected)
        gap = torch.stack([values[i] - (share[i] * values).sum() for i in range(5)])
        near(number_token(logits, targets, DIGITS, weight=1.0, distance="squared")["number"], gap**2)
        near(number_token(logits, targets, DIGITS, weight=1.0, distance="absolute")["number"], gap.abs())


def test_hand():  # uniform over 0, 4, 8 for the target 4: (4 + 0 + 4) / 3; half on 0 and 8 is no error of the mean
    values = torch.tensor([0.0, 4.0, 8.0])
    near(number_token(torch.zeros(1, 3), torch.tensor([1]), values, weight=1.0)["number"], [8 / 3], 1e-6)
    halves = torch.tensor([[0.0, -1e4, 0.0]])
    near(number_token(halves, torch.tensor([1]), values, weight=1.0, distance="squared")["number"], [0.0], 1e-6)
    near(number_token(halves, torch.tensor([1]), values, weight=0.3)["number"], [0.3 * 4], 1e-6)
    near(number_token(halves, torch.tensor([0]), values)["cross_entropy"], [math.log(2)], 1e-6)


def test_tokens():
    logits, targets, values = sample("logits", "targets", "number_values", tokens=True)
    flat = number_token(logits.flatten(0, 1), targets.flatten(), values)
    near(number_token(logits, targets, values)["number"].flatten(), flat["number"])
