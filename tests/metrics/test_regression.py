import math

import pytest
import scipy.stats
import torch
from sklearn import metrics as sklearn

from lossbench.metrics.collect import to_floats
from lossbench.metrics.ranking import mid_ranks
from lossbench.metrics.regression import regression_metrics
from tests.metrics.support import near, random, reference

NAMES = ["mse", "rmse", "mae", "r2", "pearson", "spearman"]


def cases() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    targets = random(120, 3)
    predictions = targets * torch.tensor([1.0, 0.3, -0.5]) + random(120, 3, seed=1) * 0.5 + 0.2
    return {
        "random": (random(120, 3, seed=2), targets),
        "learned": (predictions, targets),
        "one output": (predictions[:, :1], targets[:, :1]),
        "tied": (predictions.round(), (2 * targets).round()),
        "heavy tails": (predictions**5, targets**5),
        "far from 0": (predictions + 1000, targets + 1000),
        "perfectly right": (targets.clone(), targets),
        "perfectly wrong": (-targets, targets),
        "two examples": (predictions[:2], targets[:2]),
    }


@pytest.mark.parametrize("scale", [None, torch.tensor([2.0, 30.0, 0.1])])
@pytest.mark.parametrize("case", cases())
def test_oracle(case, scale):
    predictions, targets = cases()[case]
    scale = None if scale is None else scale[: targets.shape[1]]
    actual = regression_metrics(predictions, targets, scale)
    assert list(actual) == NAMES
    assert all(value.shape == () for value in actual.values())
    predictions, targets = predictions.double(), targets.double()
    if scale is not None:  # the original units themselves, with a shift
        predictions, targets = predictions * scale.double() + 5, targets * scale.double() + 5
    columns = list(zip(predictions.T, targets.T, strict=True))
    expected = {
        "mse": reference(sklearn.mean_squared_error, targets, predictions),
        "rmse": reference(sklearn.root_mean_squared_error, targets, predictions),
        "mae": reference(sklearn.mean_absolute_error, targets, predictions),
        "r2": reference(sklearn.r2_score, targets, predictions),
        "pearson": sum(scipy.stats.pearsonr(a, b).statistic for a, b in columns) / len(columns),
        "spearman": sum(scipy.stats.spearmanr(a, b).statistic for a, b in columns) / len(columns),
    }
    for name, value in expected.items():
        near(actual[name], value, 1e-9)


def test_hand():
    # Errors 1, -2, 0 in units of 10: mse 100 * 5/3, mae 10 * 1. Targets 0 2 1: total 2, r2 = 1 - 5/2.
    # Predictions 1 0 1: ranks 2.5 1 2.5 against 1 3 2: centred (0.5 -1 0.5) (-1 1 0): -1.5 / sqrt(1.5 * 2).
    predictions, targets = torch.tensor([[1.0], [0], [1]]), torch.tensor([[0.0], [2], [1]])
    actual = regression_metrics(predictions, targets, torch.tensor([10.0]))
    near(actual["mse"], 500 / 3)
    near(actual["rmse"], math.sqrt(500 / 3))
    near(actual["mae"], 10.0)
    near(actual["r2"], -1.5)
    near(actual["spearman"], -1.5 / math.sqrt(3))
    near(actual["pearson"], -1.5 / math.sqrt(3))  # with three values in two places, the ranks are linear in the values


def test_constant():
    targets = random(53, 2).double()
    targets[:, 1] = 0.1
    assert (targets - targets.mean(0))[:, 1].any()  # the mean is rounded: the squares around it do not sum to 0
    right, wrong = targets.clone(), targets + 1
    constant = torch.full_like(targets, 0.1)
    for predictions in (right, wrong, constant):
        actual = regression_metrics(predictions, targets)
        first = reference(sklearn.r2_score, targets[:, 0], predictions[:, 0])
        near(actual["r2"], (first + (0.0 if predictions is wrong else 1.0)) / 2)
    for predictions in (right + random(53, 2), constant):  # as in scipy, and for constant targets, too
        actual = regression_metrics(predictions, targets)
        assert actual["pearson"].isnan() and actual["spearman"].isnan()
    collapsed = regression_metrics(constant[:, :1], targets[:, :1])
    assert collapsed["pearson"].isnan() and collapsed["spearman"].isnan()


def test_single_example():
    actual = regression_metrics(torch.tensor([[1.0]]), torch.tensor([[3.0]]))
    near(actual["mse"], 4.0)
    assert all(actual[name].isnan() for name in ("r2", "pearson", "spearman"))


def test_mid_ranks():
    values = torch.cat([random(2, 80), random(2, 80, seed=1).round(), torch.tensor([[0.0, -0.0]]).repeat(1, 40)])
    near(mid_ranks(values), scipy.stats.rankdata(values.numpy(), axis=-1))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_not_finite(value, side):
    tensors = [tensor.clone() for tensor in cases()["perfectly right"]]
    tensors[side][4, 1] = value
    actual = to_floats(regression_metrics(*tensors))
    assert list(actual) == NAMES
    assert all(math.isnan(value) for value in actual.values())
