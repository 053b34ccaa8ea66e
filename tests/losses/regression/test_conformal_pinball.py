import numpy
import torch
from sklearn.metrics import mean_pinball_loss

from lossbench.losses.regression.conformal_pinball import conformal_pinball
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("thresholds", "nonconformity_scores")


def test_limit():  # level 1/2 is half the absolute error; a threshold at the score costs nothing
    thresholds, scores = sample(*WORDS)
    near(conformal_pinball(thresholds, scores, level=0.5), (thresholds - scores).abs() / 2)
    near(conformal_pinball(scores, scores), 0.0)


def test_oracle():  # scikit-learn's
    for level in (0.1, 0.9):
        for tokens in (False, True):
            thresholds, scores = sample(*WORDS, tokens=tokens)
            expected = mean_pinball_loss(scores.flatten().numpy(), thresholds.flatten().numpy(), alpha=level)
            near(conformal_pinball(thresholds, scores, level=level).mean(), expected)


def test_minimised_by_the_quantile():  # numpy's, of the same threshold for all
    (scores,) = sample("nonconformity_scores", B=37)
    grid = torch.linspace(0, 3, 3001, dtype=torch.float64)
    best = grid[conformal_pinball(grid[:, None], scores[None], level=0.8).mean(-1).argmin()]
    assert abs(best - numpy.quantile(scores.numpy(), 0.8, method="inverted_cdf")) < 1e-3


def test_hand():  # level 3/4: a score 2 above the threshold costs 3/2, one 2 below 1/2
    values = conformal_pinball(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 1.0]), level=0.75)
    near(values, [3 / 2, 1 / 2])


def test_extreme():
    values, gradients = extreme(conformal_pinball, torch.tensor([-2e4, 2e4]), torch.tensor([2e4, 0.0]))
    near(values[0], [3.6e4, 2e3], 1e-5)
    near(gradients[0], [-0.9, 0.1], 1e-6)


def test_stacked():
    stacked(conformal_pinball, level=[0.1, 0.5, 0.9])
