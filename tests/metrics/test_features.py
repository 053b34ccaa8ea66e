import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from lossbench.metrics import features as module
from lossbench.metrics.features import knn_accuracy, linear_probe_accuracy, logistic_regression
from tests.metrics.support import near, random


def clusters(size: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping clusters of 4 classes in 5 dimensions of different widths."""
    targets = torch.randint(4, (size,), generator=torch.Generator().manual_seed(seed))
    return (random(4, 5)[targets] + 0.8 * random(size, 5, seed=seed + 1)) * torch.logspace(-1, 2, 5), targets


def oracle(neighbours: int) -> KNeighborsClassifier:
    def weights(distances):
        return torch.exp(-torch.as_tensor(distances) / 0.07).numpy()  # a distance is 1 - cosine

    return KNeighborsClassifier(neighbours, metric="cosine", weights=weights, algorithm="brute")


@pytest.mark.parametrize("chunk", [2**24, 500])
def test_neighbours_among_known_examples(chunk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    (known, classes), (points, targets) = clusters(150), clusters(90, seed=2)
    for neighbours in (1, 5, 20):
        expected = oracle(neighbours).fit(known, classes).score(points, targets)
        near(knn_accuracy(points, targets, 4, (known, classes), neighbours), expected)
    assert 0.3 < expected < 0.95


@pytest.mark.parametrize("chunk", [2**24, 500])
def test_neighbours_within_the_split(chunk, monkeypatch):  # each example is judged without itself
    monkeypatch.setattr(module, "CHUNK", chunk)
    points, targets = clusters(60)
    hits = [
        oracle(5).fit(points[keep], targets[keep]).predict(points[i : i + 1])[0] == int(targets[i])
        for i in range(60)
        for keep in [torch.arange(60) != i]
    ]
    near(knn_accuracy(points, targets, 4, neighbours=5), sum(hits) / 60)


def test_fewer_examples_than_neighbours():
    points, targets = torch.tensor([[1.0, 0.1], [1.0, 0.2], [0.1, 1.0], [0.2, 1.0]]), torch.tensor([0, 0, 1, 1])
    near(knn_accuracy(points, targets, 2), 1.0)
    near(knn_accuracy(points, targets, 2, (points[:1], targets[:1])), 0.5)


def test_logistic_regression():  # the minimum that scikit-learn finds; its C is 1 / (n penalty)
    points, targets = clusters(200)
    inputs = torch.as_tensor(StandardScaler().fit_transform(points))
    for penalty in (1e-1, 1e-3):
        found = LogisticRegression(C=1 / (200 * penalty), tol=1e-10, max_iter=5000).fit(inputs, targets)
        weights = logistic_regression(inputs, targets, 4, penalty)
        near(weights[:-1], found.coef_.T, tolerance=1e-3 if penalty > 1e-2 else 0.1)
        near((weights[-1] - weights[-1].mean()), found.intercept_ - found.intercept_.mean(), tolerance=0.1)


def test_linear_probe():
    (known, classes), (points, targets) = clusters(300), clusters(200, seed=2)
    scaler = StandardScaler().fit(known)
    model = LogisticRegression(C=1 / (300 * 1e-3), max_iter=5000).fit(scaler.transform(known), classes)
    expected = model.score(scaler.transform(points), targets)
    near(linear_probe_accuracy(points, targets, 4, (known, classes)), expected, tolerance=0.011)  # two of 200
    constant = torch.cat([points, torch.ones(200, 1)], 1), torch.cat([known, torch.ones(300, 1)], 1)
    near(linear_probe_accuracy(constant[0], targets, 4, (constant[1], classes)), expected, tolerance=0.011)


def test_many_runs_at_once():
    known, points = random(3, 40, 5), random(3, 30, 5, seed=1)
    classes, targets = torch.arange(40) % 4, torch.arange(30) % 4
    for metric in (knn_accuracy, linear_probe_accuracy):

        def of_one(points, known, metric=metric):
            return metric(points, targets, 4, (known, classes))

        alone = [of_one(p, k) for p, k in zip(points, known, strict=True)]
        near(torch.vmap(of_one)(points, known), torch.stack(alone))
