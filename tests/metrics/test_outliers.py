import math

import numpy
import pytest
import torch
from sklearn import metrics as sklearn

from lossbench.metrics.outliers import (
    constant_divergence,
    detection_metrics,
    outlier_and_shift_metrics,
    outlier_metrics,
    outlier_scores,
    target_anomaly_metrics,
)
from tests.metrics.support import near, random

DRAW = torch.Generator().manual_seed(1)


def cases() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    outliers = torch.rand(200, generator=DRAW) < 0.3
    scores = random(200) + outliers
    return {
        "separated a little": (scores, outliers),
        "chance": (random(200), outliers),
        "tied": ((2 * scores).round(), outliers),
        "all equal": (torch.zeros(200), outliers),
        "perfect": (outliers.float(), outliers),
        "the wrong way round": (-scores, outliers),
        "exactly 95 % of 20": (torch.arange(30.0), torch.arange(30) >= 20),
        "one outlier": (scores, torch.arange(200) == 7),
        "one inlier": (scores, torch.arange(200) != 7),
    }


@pytest.mark.parametrize("case", cases())
def test_oracle(case):  # scikit-learn; the inliers are the positives of FPR95, accepted where the score is low
    scores, outliers = cases()[case]
    found = detection_metrics(scores, outliers)
    near(found["auroc"], sklearn.roc_auc_score(outliers, scores))
    near(found["aupr"], sklearn.average_precision_score(outliers, scores))
    false, true, _ = sklearn.roc_curve(~outliers, -scores, drop_intermediate=False)
    near(found["fpr95"], false[true >= 0.95].min())


def test_hand():  # inliers 1 2 3 4, outliers 0 3 9: at the threshold 4 all inliers pass, and two of three outliers.
    # Of 12 pairs 0 + 2.5 + 4 are in order. Precision at 9: 1; at 3: 2/4; at 0: 3/7
    scores = torch.tensor([1.0, 2, 3, 4, 0, 3, 9])
    found = detection_metrics(scores, torch.arange(7) >= 4)
    near(found["fpr95"], 2 / 3)
    near(found["auroc"], 6.5 / 12)
    near(found["aupr"], (1 + 2 / 4 + 3 / 7) / 3)


def test_undefined():
    for outliers in (torch.zeros(5, dtype=torch.bool), torch.ones(5, dtype=torch.bool)):
        assert all(math.isnan(value) for value in detection_metrics(torch.arange(5.0), outliers).values())
    broken = torch.tensor([0.0, math.nan, 1.0])
    assert all(math.isnan(v) for v in detection_metrics(broken, torch.tensor([True, False, False])).values())
    assert all(math.isnan(v) for v in outlier_metrics(torch.tensor([[1.0, math.inf]]), torch.zeros(1, 2)).values())


def test_scores():  # the usual forms; max_softmax in the order of -max p, and where p rounds to 1 in the exact order
    logits = 3 * random(300, 5)
    p = logits.double().softmax(-1)
    found = outlier_scores(logits)
    assert list(found) == ["max_softmax", "max_logit", "energy", "entropy"]
    near(found["max_softmax"].exp(), ((1 - p.amax(-1)) / p.amax(-1)).numpy(), 1e-9)
    near(found["max_logit"], -logits.double().amax(-1).numpy())
    near(found["energy"], -torch.logsumexp(logits.double(), -1).numpy())
    near(found["entropy"], numpy.array([-sum(q * math.log(q) for q in row) for row in p.tolist()]))
    sure = torch.tensor([[100.0, 0.0, 0.0], [50.0, 0.0, -9.0], [120.0, 0.0, 0.0]])
    assert outlier_scores(sure)["max_softmax"].argsort().tolist() == [2, 0, 1]


def test_metrics_of_logits():
    inside, outside = 4 * random(60, 7), random(40, 7, seed=1)
    found = outlier_metrics(inside, outside)
    assert len(found) == 12
    which = numpy.arange(100) >= 60
    p = torch.cat([inside, outside]).double().softmax(-1)
    near(found["max_softmax_auroc"], sklearn.roc_auc_score(which, -p.amax(-1).numpy()))
    near(found["energy_aupr"], sklearn.average_precision_score(which, -torch.cat([inside, outside]).logsumexp(-1)))


def test_runs_together():  # one program for many runs
    inside, outside = 4 * random(3, 60, 7), random(3, 40, 7, seed=1)
    together = torch.vmap(outlier_metrics)(inside, outside)
    for i in range(3):
        for name, value in outlier_metrics(inside[i], outside[i]).items():
            near(together[name][i], float(value))


def test_constant_divergence():  # of the training shares themselves: 0. Certain of a class of share q: -log q
    counts = torch.tensor([60.0, 30.0, 10.0])
    near(constant_divergence((counts / 100).log().expand(5, -1), counts), 0.0, 1e-6)
    near(constant_divergence(torch.tensor([[0.0, 0.0, 99.0]]), counts), math.log(10), 1e-9)
    p, q = random(20, 3).double().softmax(-1), counts / 100
    expected = sum(p[i, c] * math.log(p[i, c] / q[c]) for i in range(20) for c in range(3)) / 20
    near(constant_divergence(p.log(), counts), expected, 1e-6)


def test_splits():
    counts, targets = torch.ones(4), torch.arange(20) % 4
    named = {
        name: {"logits": random(20, 4, seed=seed), "targets": targets}
        for seed, name in enumerate(("validation", "test", "corrupted_blur_1", "corrupted_blur_5", "shifted"))
    }
    named["outliers"] = {"logits": random(9, 4, seed=9)}
    found = outlier_and_shift_metrics(named, counts)
    right = [float((named[n]["logits"].argmax(-1) == targets).double().mean()) for n in named if "corrupted" in n]
    near(found["corrupted_accuracy"], sum(right) / 2)
    mean = (found["corrupted_blur_1/constant_divergence"] + found["corrupted_blur_5/constant_divergence"]) / 2
    near(found["corrupted_constant_divergence"], float(mean))
    near(
        found["outlier_entropy_auroc"],
        float(outlier_metrics(named["test"]["logits"], named["outliers"]["logits"])["entropy_auroc"]),
    )
    assert "validation/constant_divergence" not in found and "test/constant_divergence" not in found
    near(found["constant_divergence"], float(constant_divergence(named["test"]["logits"], counts)))
    plain = outlier_and_shift_metrics({name: named[name] for name in ("validation", "test")}, counts)
    assert plain.keys() == {"constant_divergence"}


def test_target_anomalies():  # a target that is unlikely under the model
    logits, targets, anomalies = random(50, 4), torch.arange(50) % 4, torch.arange(50) % 7 == 0
    p = logits.double().softmax(-1)[torch.arange(50), targets]
    found = target_anomaly_metrics(logits, targets, anomalies)
    near(found["anomaly_auroc"], sklearn.roc_auc_score(anomalies, 1 - p))
    assert found.keys() == {"anomaly_auroc", "anomaly_aupr", "anomaly_fpr95"}
