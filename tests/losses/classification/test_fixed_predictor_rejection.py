import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from lossbench.losses.classification.fixed_predictor_rejection import fixed_predictor_rejection
from tests.losses.support import extreme, near, same, sample, stacked

WORDS = ("acceptance_scores", "acceptable")


@pytest.mark.parametrize("cost", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("alpha", [0.5, 4.0])
def test_limit(cost, alpha):  # at a score of 0: exp(-+alpha / 2) + cost; the mean is flat there where q = cost
    scores = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    values = fixed_predictor_rejection(scores, torch.tensor([True, False]), cost=cost, alpha=alpha)
    near(values.detach(), [math.exp(-alpha / 2) + cost, math.exp(alpha / 2) + cost])
    slopes = torch.autograd.grad(values.sum(), scores)[0]
    near((1 - cost) * slopes[0] + cost * slopes[1], 0.0)


@pytest.mark.parametrize("cost", [0.05, 0.3])
def test_oracle(cost):  # scipy: the best score is positive if and only if the answer is wrong less often than the cost
    for wrong in (cost / 3, 0.9 * cost, 1.1 * cost, (1 + cost) / 2):

        def mean(score, wrong=wrong):
            scores = torch.tensor([score, score], dtype=torch.float64)
            right, not_right = fixed_predictor_rejection(scores, torch.tensor([True, False]), cost=cost).tolist()
            return (1 - wrong) * right + wrong * not_right

        best = minimize_scalar(mean, bounds=(-2, 2), method="bounded", options={"xatol": 1e-10}).x
        assert (best > 0) == (wrong < cost) and abs(best) > 1e-3


def test_bounds_the_rejection_loss():  # 1[wrong, accepted] + cost 1[rejected], everywhere
    scores = torch.linspace(-3, 3, 101, dtype=torch.float64)
    for right in (True, False):
        loss = fixed_predictor_rejection(scores, torch.full((101,), right), cost=0.2)
        rejection = (scores > 0).double() * (not right) + 0.2 * (scores <= 0).double()
        assert (loss >= rejection).all()


def test_loop():  # the equation
    def loop(scores, acceptable, cost, alpha):
        beta = alpha * (cost * math.exp(alpha / 2) + (1 - cost) * math.exp(-alpha / 2)) / (2 * cost)
        answers = [1 if right else -1 for right in acceptable.tolist()]
        rows = zip(scores.tolist(), answers, strict=True)
        return torch.tensor([math.exp(alpha / 2 * (r - a)) + cost * math.exp(-beta * r) for r, a in rows]).double()

    def expected(acceptance_scores, acceptable, *, cost, alpha):
        return loop(acceptance_scores, acceptable, cost, alpha)

    same(fixed_predictor_rejection, expected, 1e-6, cost=0.4, alpha=1.5)
    scores, acceptable = sample(*WORDS, tokens=True)
    rows = [fixed_predictor_rejection(s, a) for s, a in zip(scores, acceptable, strict=True)]
    near(fixed_predictor_rejection(scores, acceptable), torch.stack(rows))


def test_hand():  # cost 1/2, alpha 2 log 2: beta = 2 log 2 * (1/2 * 2 + 1/2 * 1/2) = 5/2 log 2; scores of 2
    scores = torch.tensor([2.0, 2.0], dtype=torch.float64)
    values = fixed_predictor_rejection(scores, torch.tensor([True, False]), cost=0.5, alpha=2 * math.log(2))
    near(values, [2 + 1 / 64, 8 + 1 / 64])


def test_extreme():  # straight lines beyond exponents of 30: slopes stay those of exp(30)
    scores, acceptable = torch.tensor([2e4, -2e4]), torch.tensor([False, True])
    _, gradients = extreme(fixed_predictor_rejection, scores, acceptable, cost=0.5, alpha=2.0)
    beta = 0.5 * math.e + 0.5 / math.e
    near(gradients[0] / math.exp(30), [1.0, -beta], 1e-4)


def test_stacked():
    stacked(fixed_predictor_rejection, cost=[0.05, 0.3, 0.5], alpha=[4.0, 1.0, 2.0])
