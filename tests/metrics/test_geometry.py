"""The geometry of class means, by loops, by scikit-learn and in its limits."""

import numpy
import torch
import torch.nn.functional as F
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import NearestCentroid

from lossbench.metrics.geometry import frame_metrics, nearest_mean_accuracy
from tests.metrics.support import near, random

TARGETS = torch.tensor([0, 1, 2, 2, 1, 2, 0, 1, 2, 2, 2, 0])


def test_an_orthogonal_frame():  # lengths do not count: collapsed, orthogonal
    found = frame_metrics(7 * F.one_hot(TARGETS, 5).float(), TARGETS, 3)
    for name in ("frame_distance", "collapse", "mean_cosine"):
        near(found[name], 0.0, 1e-7)


def test_a_simplex():  # class means at cosine -1/2 of 3 classes: G = 3/2 (I - 1/3), of norm 3/sqrt 2
    simplex = F.one_hot(TARGETS, 3).double() - 1 / 3
    found = frame_metrics(simplex, TARGETS, 3)
    near(found["mean_cosine"], -1 / 2)
    near(found["collapse"], 0.0, 1e-9)
    gram = 1.5 * (numpy.eye(3) - 1 / 3)
    expected = numpy.linalg.norm(gram / numpy.linalg.norm(gram) - numpy.eye(3) / numpy.sqrt(3))
    near(found["frame_distance"], expected)


def test_by_loops():
    embeddings = random(12, 4).double() + 3 * F.one_hot(TARGETS, 4)
    h = (embeddings / embeddings.norm(dim=1, keepdim=True)).numpy()
    means = [h[c == TARGETS].mean(0) for c in range(3)]
    gram = numpy.array([[a @ b for b in means] for a in means])
    distance = numpy.linalg.norm(gram / numpy.linalg.norm(gram) - numpy.eye(3) / numpy.sqrt(3))
    # covariance within each class, then the mean over the classes
    within = sum(numpy.cov(h[c == TARGETS].T, bias=True) for c in range(3)) / 3
    between = numpy.cov(numpy.array(means).T, bias=True)
    cosines = [
        means[a] @ means[b] / numpy.linalg.norm(means[a]) / numpy.linalg.norm(means[b])
        for a in range(3)
        for b in range(3)
        if a != b
    ]
    found = frame_metrics(embeddings, TARGETS, 3)
    near(found["frame_distance"], distance)
    near(found["collapse"], numpy.trace(within @ numpy.linalg.pinv(between)) / 3, 1e-8)
    near(found["mean_cosine"], sum(cosines) / 6)


def test_nearest_mean_of_known_examples():  # scikit-learn's nearest centroid, where all means have one length
    known, classes = torch.eye(4)[[0, 0, 1, 2]], torch.tensor([0, 0, 1, 2])
    embeddings = random(12, 4) + 2 * F.one_hot(TARGETS, 4)
    unit = embeddings / embeddings.norm(dim=1, keepdim=True)
    predicted = NearestCentroid().fit(known.numpy(), classes.numpy()).predict(unit.numpy())
    expected = balanced_accuracy_score(TARGETS, predicted)
    assert 0 < expected < 1
    near(nearest_mean_accuracy(embeddings, TARGETS, 3, (known, classes)), expected)


def test_nearest_mean_of_the_others():  # each example is left out of its own mean, by a loop
    embeddings = random(12, 4).double() + F.one_hot(TARGETS, 4)
    h = embeddings / embeddings.norm(dim=1, keepdim=True)
    hits = []
    for i in range(12):
        others = [j for j in range(12) if j != i]
        means = [torch.stack([h[j] for j in others if TARGETS[j] == c]).mean(0) for c in range(3)]
        hits.append(int(torch.stack([h[i] @ m / m.norm() for m in means]).argmax()))
    near(nearest_mean_accuracy(embeddings, TARGETS, 3), balanced_accuracy_score(TARGETS, hits))
