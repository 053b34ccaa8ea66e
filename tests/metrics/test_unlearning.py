"""Metrics of unlearning against scipy, scikit-learn and loops."""

import numpy as np
import pytest
import torch
from scipy.special import kolmogorov
from scipy.stats import entropy, ks_2samp
from sklearn.metrics import roc_auc_score

from lossbench.metrics.unlearning import (
    forget_quality_metrics,
    kolmogorov_survival,
    margins,
    membership_metrics,
    retrained_metrics,
)


def drawn(n=40, c=5, m=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits, retrained = (2 * torch.randn(shape, generator=generator) for shape in ((n, c), (n, m, c)))
    return logits, torch.randint(c, (n,), generator=generator), retrained


def test_distance_to_the_retrained_models():
    logits, targets, retrained = drawn()
    found = retrained_metrics(logits, targets, retrained)
    own, theirs = logits.double().softmax(-1).numpy(), retrained.double().softmax(-1).numpy()
    mean = theirs.mean(1)
    assert found["retrained_divergence"].item() == pytest.approx(entropy(mean, own, axis=-1).mean(), rel=1e-6)
    assert found["retrained_agreement"].item() == (mean.argmax(-1) == own.argmax(-1)).mean()
    errors = []
    for i, y in enumerate(targets.tolist()):
        odds = [np.log(p[y] / (1 - p[y])) for p in (own[i], *theirs[i])]
        errors.append(abs(odds[0] - np.mean(odds[1:])))
    assert found["retrained_margin_error"].item() == pytest.approx(np.mean(errors), rel=1e-6)
    assert found["retrained_margin_error_p95"].item() == pytest.approx(sorted(errors)[37], rel=1e-6)  # the 38th of 40


def test_no_distance_to_itself():
    logits, targets, _ = drawn()
    found = retrained_metrics(logits, targets, logits.unsqueeze(1))
    assert found["retrained_divergence"].item() == pytest.approx(0, abs=1e-12)
    assert found["retrained_agreement"] == 1 and found["retrained_margin_error_p95"] == 0


def test_margin():  # the logit less the log-sum-exp of the others, by hand: 2 - log(e^0 + e^1)
    found = margins(torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([1]))
    assert found.item() == pytest.approx(2 - np.log(1 + np.e), rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_forget_quality(shift):  # scipy's statistic; its p-value in the limit of many examples
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randn(37, generator=generator), torch.randn(90, generator=generator) + shift
    first[:4] = second[:4]  # ties
    found = forget_quality_metrics(first, second)
    statistic = ks_2samp(first.numpy(), second.numpy()).statistic
    assert found["forget_distance"].item() == pytest.approx(statistic, abs=1e-9)
    root = np.sqrt(37 * 90 / 127)
    assert found["forget_quality"].item() == pytest.approx(kolmogorov(root * statistic), abs=1e-9)
    assert (found["forget_quality"] < 0.01) == (shift > 0)
    same = forget_quality_metrics(first, first.flip(0))
    assert same["forget_distance"] == 0 and same["forget_quality"] == 1


def test_series():
    for x in (0.0, 0.04, 0.06, 0.3, 0.8, 1.36, 3.0, 30.0):
        found = kolmogorov_survival(torch.tensor(x, dtype=torch.float64)).item()
        assert found == pytest.approx(kolmogorov(x), abs=1e-10)


def test_membership():
    generator = torch.Generator().manual_seed(2)
    forget, test = torch.randn(20, generator=generator) + 0.5, torch.randn(30, generator=generator)
    test[:5] = forget[:5]  # ties
    expected = roc_auc_score([1] * 20 + [0] * 30, torch.cat([forget, test]).numpy())
    assert membership_metrics(forget, test)["membership_auroc"].item() == pytest.approx(expected)
    assert 0.5 < expected < 0.9


def test_broken_model():
    logits, targets, retrained = drawn()
    logits[3, 0] = torch.nan
    assert all(value.isnan() for value in retrained_metrics(logits, targets, retrained).values())
    assert all(v.isnan() for v in forget_quality_metrics(logits[:, 0], logits[:, 1]).values())
