"""Thresholds on the errors of a frozen regression model, and what is known of the shift."""

import json
import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lossbench.cli import main
from lossbench.datasets.covariate_shift import covariate_shift
from lossbench.datasets.diabetes import diabetes
from lossbench.errors import UsageError
from lossbench.losses.regression.conformal_pinball import conformal_pinball
from lossbench.models.linear import linear
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.regularizers.likelihood_ratio_alignment import likelihood_ratio_alignment
from lossbench.tasks.conformal_threshold import ConformalThreshold, domain_classifier
from tests.models.support import built


def data(n=200, features=6):
    return covariate_shift(generator=torch.Generator().manual_seed(0), num_examples=n, features=features)


def task_of(dataset):
    predictor = built(lambda: linear(input_shape=dataset.input_shape, num_outputs=1))
    return ConformalThreshold(dataset, torch.device("cpu"), predictor=predictor), predictor


def test_ratios():  # scikit-learn's logistic regression with its default penalty, unequal numbers too
    dataset = data()
    for source, target in ((200, 200), (150, 60)):
        a, b = dataset.train.labels["unlabeled_inputs"][:source], dataset.train.labels["shifted_inputs"][:target]
        model = LogisticRegression(tol=1e-10, max_iter=10_000).fit(torch.cat([a, b]), [0] * source + [1] * target)
        p = model.predict_proba(dataset.train.inputs)[:, 1]
        expected = torch.tensor(p / (1 - p)) * source / target
        found = domain_classifier(a, b)
        actual = (dataset.train.inputs @ found[:-1] + found[-1]).exp()
        torch.testing.assert_close(actual.double(), expected, rtol=1e-4, atol=0)


def test_ratios_of_many():  # of 4,000 inputs: those of the two densities, exp(u . x - 1 / 2)
    dataset = data(4000)
    task, _ = task_of(dataset)
    ratios = task.likelihood_ratios((dataset.train.inputs - dataset.mean) / dataset.std)
    expected = (dataset.train.inputs.sum(-1) / 6**0.5 - 1 / 2).exp()
    assert ratios.shape == (4000,) and abs((ratios / expected).log()).median() < 0.1


def test_objective():  # loss and regularizer, from the definitions
    dataset = data()
    task, predictor = task_of(dataset)
    model = built(lambda: linear(input_shape=(6,), num_outputs=1))

    def standardised(inputs):
        return (inputs - dataset.mean) / dataset.std

    batch = {"x": standardised(dataset.train.inputs), **dataset.train.labels, "ids": torch.arange(200)}
    objective = Objective(conformal_pinball, task, mean, [likelihood_ratio_alignment])
    params = {"likelihood_ratio_alignment": {"scale": torch.tensor(0.5)}}
    value = objective(Network.of(model), batch, params, {}).loss
    scores = (batch["regression_targets"] - predictor(batch["x"])).abs()[:, 0]
    h = model(batch["x"])[:, 0]
    u, v = (model(standardised(batch[name]))[:, 0] for name in ("unlabeled_inputs", "shifted_inputs"))
    pinball = torch.maximum(0.9 * (scores - h), 0.1 * (h - scores)).mean()
    torch.testing.assert_close(value, pinball + 0.1 * (0.25 * (u**2).mean() - v.mean()))
    assert task.metrics(h, scores)["coverage"] == (scores <= h).double().mean()
    assert ConformalThreshold.shapes(dataset) == ((6,), 1)


def test_other_data():
    with pytest.raises(UsageError, match="dataset=covariate_shift"):
        task_of(diabetes(generator=torch.Generator().manual_seed(0)))


def test_one_width_is_the_quantile(tmp_path, monkeypatch):  # the constant model with the quantile loss: split conformal
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main([
            "train", "dataset=covariate_shift", "task=conformal_threshold", "loss=conformal_pinball",
            "model=constant_outputs",
            "dataset.shift=0", "variant=[calibration_split]", "variant.calibration_split.fraction=0.5", "device=cpu",
            "task.predictor={train: {variant: [calibration_split], variant.calibration_split.part: model, "
            "variant.calibration_split.fraction: 0.5, model: linear, optimizer.lr: 0.01}}",
            "optimizer.lr=0.02", "optimizer.weight_decay=0", "batch_size=250", "budget.epochs=100",
        ])  # fmt: skip
    assert left.value.code == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    best = next(record["best"] for record in records if record["choices"]["task"] == "conformal_threshold")
    assert math.isclose(best["test/coverage"], 0.9, abs_tol=0.03)
