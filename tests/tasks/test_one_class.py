import math

import pytest
import torch
from sklearn import metrics as sklearn

from lossbench.errors import UsageError
from tests.engine import parts, trainer

CHOICES = ("task=one_class", "head=hyperbolic", "head.size=8", "head.widths=[16]", "loss=hyp_oc", "model=mlp",
           "model.widths=[32]", "batch_size=16")  # fmt: skip


def test_trains_and_tells_anomalies(tmp_path):
    made = trainer(tmp_path, *CHOICES, "variant=[one_class]", "budget.epochs=40", "optimizer.lr=1e-3")
    outcome = made.fit()
    assert outcome.status == "completed" and outcome.best["test/anomaly_auroc"] > 0.7
    test = made.source.splits["test"]
    with torch.no_grad():
        logits = made.model.eval()((test.inputs - made.source.mean) / made.source.std)[:, :2]
    expected = sklearn.roc_auc_score(test.labels["anomalies"], (logits[:, 1] - logits[:, 0]).double())
    assert math.isclose(outcome.best["test/anomaly_auroc"], expected, rel_tol=1e-5)


def test_refused(tmp_path):
    with pytest.raises(UsageError, match="variant=one_class"):
        parts(tmp_path, *CHOICES)
