import torch

from lossbench.datasets.change_points import change_points
from tests.datasets.support import generator


def agreement(split, lag, rows=slice(None)):
    """How often a label is what its own input says, without noise."""
    x, labels = split.inputs[rows], split.labels["labels"][rows]
    told = torch.stack([x[:, (c + lag) % x.shape[1]] > 0.5 for c in range(x.shape[1])], 1)
    return (told == (labels > 0)).double().mean().item()


def test_labels_follow_other_inputs_after_each_change():
    dataset = change_points(generator=generator(0), num_examples=600, noise=0.0)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [600, 300, 900]
    assert agreement(dataset.train, 0) == agreement(dataset.validation, 0) == 1
    assert agreement(dataset.test, 1, slice(0, 600)) == agreement(dataset.test, 2, slice(600, 900)) == 1
    assert agreement(dataset.test, 0) < 0.65 and agreement(dataset.test, 1, slice(600, 900)) < 0.65
    assert dataset.num_outputs == dataset.train.inputs.shape[1] == 10


def test_noise():  # P(x + e > 1/2) = 0.3618 for two standard normal numbers
    dataset = change_points(generator=generator(1), num_examples=20000)
    assert abs(dataset.train.labels["labels"].mean() - 0.3618) < 0.005
    assert 0.7 < agreement(dataset.train, 0) < 0.85
    assert abs(dataset.train.inputs.mean()) < 0.01 and abs(dataset.train.inputs.std() - 1) < 0.01


def test_without_changes():
    dataset = change_points(generator=generator(0), num_examples=600, noise=0.0, changes=False)
    assert agreement(dataset.test, 0) == 1


def test_seeds():
    first, again, other = (change_points(generator=generator(s), num_examples=20) for s in (0, 0, 1))
    assert torch.equal(first.test.inputs, again.test.inputs) and not torch.equal(first.test.inputs, other.test.inputs)
