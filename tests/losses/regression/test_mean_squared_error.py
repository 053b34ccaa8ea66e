import torch
from sklearn.metrics import mean_squared_error as oracle

from lossbench.losses.regression.mean_squared_error import mean_squared_error
from tests.losses.support import extreme, near, same, sample, stacked


def test_limit():  # nothing is lost where the targets are hit
    targets = sample("regression_targets")[0]
    near(mean_squared_error(targets, targets), 0.0)


def test_oracle():  # scikit-learn's, of one example at a time
    def by_rows(predictions, targets):
        return torch.tensor([oracle(t, p) for p, t in zip(predictions, targets, strict=True)])

    same(mean_squared_error, by_rows, 1e-6)


def test_hand():  # differences 1 and -3: (1 + 9) / 2
    near(mean_squared_error(torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 4.0]])), [5.0])


def test_tokens():  # one value per token
    predictions, targets = sample("predictions", "regression_targets", tokens=True)
    assert mean_squared_error(predictions, targets).shape == (6, 7)


def test_extreme():  # the square of 2e4, gradient 2 * 2e4
    for value in (2e4, -2e4):
        values, gradients = extreme(mean_squared_error, torch.tensor([[value]]), torch.zeros(1, 1))
        near(values[0], [4e8])
        near(gradients[0], [[2 * value]])


def test_stacked():
    stacked(mean_squared_error)
