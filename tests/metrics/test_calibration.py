import math

import numpy
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from lossbench.metrics.calibration import aps_scores, best_temperature, calibration_metrics, conformal_threshold
from lossbench.metrics.classification import classification_metrics
from tests.metrics.support import near, random


def cases() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    draw = torch.Generator().manual_seed(1)
    targets = torch.randint(5, (150,), generator=draw)
    right = torch.nn.functional.one_hot(targets, 5).float()
    learned = random(150, 5) + 1.5 * right
    return {
        "learned": (learned, targets),
        "too sure": (6 * learned, targets),
        "unsure": (learned / 10, targets),
        "tied": (learned.round(), targets),
        "single class": (learned, torch.full((150,), 2)),
        "two classes": (learned[:, :2], targets % 2),
        "few": (learned[:12], targets[:12]),
    }


@pytest.mark.parametrize("case", cases())
def test_temperature_oracle(case):  # scipy's minimiser on scikit-learn's likelihood
    logits, targets = cases()[case]
    classes = list(range(logits.shape[-1]))

    def likelihood(log_temperature: float) -> float:
        p = (logits.double() / math.exp(log_temperature)).softmax(-1).numpy()
        return log_loss(targets.numpy(), p, labels=classes)

    bounds = (math.log(1e-2), math.log(1e2))
    found = minimize_scalar(likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    temperature = best_temperature(logits, targets)
    near(temperature.log(), found.x, 1e-5)
    assert likelihood(temperature.log().item()) <= found.fun + 1e-12


def test_temperature_scales_with_the_logits():
    logits, targets = cases()["learned"][0].double(), cases()["learned"][1]
    near(best_temperature(7 * logits, targets), 7 * best_temperature(logits, targets), 1e-9)


def test_temperature_hand():  # three of four right with a margin m: the best probability is 3/4, so m / T = log 3
    logits = torch.tensor([[2.0, 0]] * 4, dtype=torch.float64)
    near(best_temperature(logits, torch.tensor([0, 0, 0, 1])), 2 / math.log(3), 1e-11)


def test_temperature_limits():  # all right: ever surer; all wrong, or nothing to say: ever less
    logits, targets = torch.tensor([[1.0, 0], [0, 1]]), torch.tensor([0, 1])
    near(best_temperature(logits, targets), 1e-2, 1e-9)
    near(best_temperature(logits, 1 - targets), 1e2, 1e-9)
    assert 1e-2 <= best_temperature(0 * logits, targets) <= 1e2


@pytest.mark.parametrize("case", cases())
def test_scaled_metrics(case):  # those of the divided logits; at the split itself the likelihood can only improve
    logits, targets = cases()[case]
    others, labels = 2 * random(80, logits.shape[-1], seed=3), torch.arange(80) % logits.shape[-1]
    actual = calibration_metrics(logits, targets, others, labels)
    scaled = classification_metrics(others.double() / actual["temperature"], labels)
    for name in ("nll", "brier", "ece", "ece_equal_mass"):
        near(actual[f"temperature_scaled_{name}"], scaled[name], 1e-10)
    own = calibration_metrics(logits, targets, logits, targets)
    assert own["temperature_scaled_nll"] <= classification_metrics(logits, targets)["nll"] + 1e-12


@pytest.mark.parametrize("case", cases())
def test_conformal_oracle(case):  # loops over the examples and the classes; numpy's quantile
    logits, targets = cases()[case]
    others, labels = random(60, logits.shape[-1], seed=5), torch.arange(60) % logits.shape[-1]
    actual = calibration_metrics(logits, targets, others, labels)
    for name, score in (("lac", slow_lac), ("aps", slow_aps)):
        known = [score(row, y) for row, y in zip(probabilities(logits), targets.tolist(), strict=True)]
        level = math.ceil((len(known) + 1) * 0.9) / len(known)
        threshold = numpy.quantile(known, level, method="inverted_cdf") if level <= 1 else math.inf
        threshold += 1e-12  # rounding of sums in another order
        sets = [[c for c in range(len(row)) if score(row, c) <= threshold] for row in probabilities(others)]
        near(actual[f"{name}_set_size"], sum(map(len, sets)) / 60)
        near(actual[f"{name}_coverage"], sum(y in s for y, s in zip(labels.tolist(), sets, strict=True)) / 60)


def probabilities(logits):
    return logits.double().softmax(-1).tolist()


def slow_lac(row, y):
    return 1 - row[y]


def slow_aps(row, y):
    return sum(sorted((p for p in row if p >= row[y]), reverse=True))


def test_conformal_hand():
    # Nine scores, level 0.8: ceil(10 * 0.8) = 8th smallest. Level 0.95: the 10th of nine, there is none.
    scores = torch.tensor([0.9, 0.1, 0.5, 0.3, 0.7, 0.2, 0.8, 0.4, 0.6], dtype=torch.float64)
    near(conformal_threshold(scores, 0.2), 0.8)
    near(conformal_threshold(scores, 0.05), math.inf)
    near(conformal_threshold(scores, 0.1), 0.9)  # 10 * 0.9 = 9, not 10 by rounding
    # p = 1/2, 1/8, 1/4, 1/8: sums 1/2, 1, 3/4, 1; the two equal ones are taken together.
    near(aps_scores(torch.tensor([[0.5, 0.125, 0.25, 0.125]])), [[0.5, 1, 0.75, 1]])


def test_coverage_is_kept():  # of exchangeable examples: 90 % within the noise of 4000, sets smaller than all classes
    draw = torch.Generator().manual_seed(0)
    targets = torch.randint(10, (6000,), generator=draw)
    logits = random(6000, 10, seed=7) + 2 * torch.nn.functional.one_hot(targets, 10)
    actual = calibration_metrics(logits[:2000], targets[:2000], logits[2000:], targets[2000:])
    assert abs(actual["lac_coverage"] - 0.9) < 0.02
    assert actual["aps_coverage"] > 0.88 and actual["lac_set_size"] <= actual["aps_set_size"] < 6


@pytest.mark.parametrize("place", [0, 2])
def test_not_finite(place):
    logits, targets = cases()["learned"]
    tensors = [logits, targets, logits.clone(), targets]
    tensors[place][4, 2] = math.nan
    assert all(math.isnan(value) for value in calibration_metrics(*tensors).values())


def test_stacked():
    logits, targets = (torch.stack([cases()[name][i] for name in ("learned", "tied", "too sure")]) for i in (0, 1))
    together = torch.vmap(calibration_metrics)(logits, targets, logits.flip(1), targets.flip(1))
    for i in range(3):
        alone = calibration_metrics(logits[i], targets[i], logits[i].flip(0), targets[i].flip(0))
        for name, value in alone.items():
            near(together[name][i], value, 1e-11)
