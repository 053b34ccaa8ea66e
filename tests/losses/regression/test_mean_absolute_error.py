import torch
from sklearn.metrics import mean_absolute_error as oracle

from lossbench.losses.regression.mean_absolute_error import mean_absolute_error
from tests.losses.support import extreme, near, same, sample, stacked


def test_limit():  # nothing is lost where the targets are hit, and the gradient there is 0
    targets = sample("regression_targets")[0]
    predictions = targets.clone().requires_grad_()
    value = mean_absolute_error(predictions, targets)
    value.sum().backward()
    near(value, 0.0)
    near(predictions.grad, 0.0)


def test_oracle():  # scikit-learn's, of one example at a time
    def by_rows(predictions, targets):
        return torch.tensor([oracle(t, p) for p, t in zip(predictions, targets, strict=True)])

    same(mean_absolute_error, by_rows, 1e-6)


def test_hand():  # differences 1 and -3: (1 + 3) / 2
    near(mean_absolute_error(torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 4.0]])), [2.0])


def test_tokens():  # one value per token
    predictions, targets = sample("predictions", "regression_targets", tokens=True)
    assert mean_absolute_error(predictions, targets).shape == (6, 7)


def test_extreme():  # 2e4, gradient +-1
    for sign in (1, -1):
        values, gradients = extreme(mean_absolute_error, torch.tensor([[sign * 2e4]]), torch.zeros(1, 1))
        near(values[0], [2e4])
        near(gradients[0], [[sign]])


def test_stacked():
    stacked(mean_absolute_error)
