import math

import torch
from sklearn import metrics as sklearn

from lossbench.tasks.reconstruction import Reconstruction
from tests.engine import parts, trainer

CHOICES = ("task=reconstruction", "model=autoencoder", "loss=mean_squared_error")


def task():
    return Reconstruction(None, torch.device("cpu"))


def test_metrics():  # scikit-learn, on each example's own error; the mean error is that of the normal ones
    draw = torch.Generator().manual_seed(0)
    x, noise = torch.randn(50, 12, generator=draw), torch.randn(50, 12, generator=draw)
    anomalies = torch.arange(50) % 4 == 0
    found = task().metrics(x + noise * (1 + 0.2 * anomalies[:, None]), x, anomalies)
    errors = (noise * (1 + 0.2 * anomalies[:, None])).double().square().mean(1)
    assert math.isclose(found["reconstruction_error"], errors[~anomalies].mean(), rel_tol=1e-5)
    assert math.isclose(found["anomaly_auroc"], sklearn.roc_auc_score(anomalies, errors), rel_tol=1e-9)
    assert 0.5 < found["anomaly_auroc"] < 1
    without = task().metrics(x + noise, x)
    assert without.keys() == {"reconstruction_error"}
    assert math.isclose(without["reconstruction_error"], noise.double().square().mean(), rel_tol=1e-5)


def test_a_broken_model_never_looks_good():
    found = task().metrics(torch.tensor([[math.nan], [0.0]]), torch.zeros(2, 1), torch.tensor([True, False]))
    assert all(math.isnan(value) for value in found.values())


def test_finds_anomalies(tmp_path):  # zeros against the other digits: far from chance after a second
    made = trainer(tmp_path, *CHOICES, "variant=one_class", "batch_size=16", "budget.epochs=30")
    outcome = made.fit()
    assert outcome.status == "completed" and made.model(torch.zeros(3, 1, 8, 8)).shape == (3, 64)
    assert outcome.best["test/anomaly_auroc"] > 0.9
    assert outcome.best["test/reconstruction_error"] < 0.6


def test_every_data_set_can_be_reconstructed(tmp_path):  # no labels are needed, and those that are there do no harm
    for overrides in (("dataset=diabetes", "batch_size=64"), ("dataset=digits",)):
        made = parts(tmp_path, *CHOICES, *overrides)
        assert made["objective"].plan
