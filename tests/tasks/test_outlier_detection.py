import math

import pytest
import torch
from sklearn import metrics as sklearn
from sklearn.covariance import EmpiricalCovariance

from lossbench.metrics.outliers import mahalanobis
from tests.engine import trainer

PALM = ("task=outlier_detection", "head=projector", "head.size=32", "model.widths=[32]", "loss=palm")


def test_mahalanobis():  # scikit-learn's, on features of unit length that are standardised
    draw = torch.Generator().manual_seed(0)
    known, features = torch.randn(200, 5, generator=draw) @ torch.randn(5, 5, generator=draw), torch.randn(20, 5)
    unit = [t.double() / t.double().norm(dim=1, keepdim=True) for t in (known, features)]
    scaled = [((t - unit[0].mean(0)) / unit[0].std(0, correction=0)).numpy() for t in unit]
    expected = EmpiricalCovariance().fit(scaled[0]).mahalanobis(scaled[1])
    torch.testing.assert_close(mahalanobis(features, known), torch.from_numpy(expected), rtol=1e-6, atol=1e-8)


def test_dead_features_count_nothing():  # always 0 on the known ones
    draw = torch.Generator().manual_seed(0)
    known, features = torch.rand(100, 3, generator=draw), torch.rand(9, 3, generator=draw)
    padded = [torch.cat([t, torch.zeros(len(t), 2)], 1) for t in (features, known)]
    torch.testing.assert_close(mahalanobis(*padded), mahalanobis(features, known), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("overrides", [PALM, ("task=outlier_detection", "loss=cross_entropy", "model.widths=[32]")])
def test_every_kind_of_loss_is_judged_alike(tmp_path, overrides):
    made = trainer(tmp_path, *overrides, "variant=[held_out_classes]", "budget.epochs=5")
    outcome = made.fit()
    assert outcome.status == "completed" and outcome.best["test/train_knn_accuracy"] > 0.8
    splits = {name: made.collect(name)["features"].clone() for name in ("train", "test", "outliers")}
    scores = [mahalanobis(splits[name], splits["train"]) for name in ("test", "outliers")]
    which = torch.cat([torch.zeros(len(scores[0])), torch.ones(len(scores[1]))])
    expected = sklearn.roc_auc_score(which, torch.cat(scores))
    assert math.isclose(outcome.best["test/outlier_mahalanobis_auroc"], expected, rel_tol=1e-6)


def test_without_outliers(tmp_path):
    outcome = trainer(tmp_path, *PALM, "budget.epochs=1").fit()
    assert not any("outlier" in name for name in outcome.best)
