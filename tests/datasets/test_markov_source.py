import math

import numpy as np
import pytest
import torch

from lossbench.datasets.markov_source import markov_source, stationary_distribution
from lossbench.errors import UsageError
from tests.datasets.support import generator, splits


def contexts(dataset, order):
    """[n, order + 1] symbols of every place that counts, with those before it, over all splits."""
    found = []
    for split in splits(dataset):
        whole = torch.cat([split.inputs, split.labels["targets"][:, -1:]], 1)
        windows = whole.unfold(1, order + 1, 1)
        assert int(split.labels["mask"].sum()) == windows.shape[0] * windows.shape[1]  # as many as have a context
        found.append(windows.flatten(0, 1))
    return torch.cat(found)


@pytest.mark.parametrize(("order", "symbols"), [(1, 6), (2, 4)])
def test_entropy_rate(order, symbols):  # against the conditional entropy of the counts in a long sample
    dataset = markov_source(generator=generator(), num_examples=6000, block_length=40, num_symbols=symbols, order=order)
    windows = contexts(dataset, order)
    counts = np.zeros((symbols,) * (order + 1))
    np.add.at(counts, tuple(windows.T.numpy()), 1)
    joint = counts / counts.sum()
    before = joint.sum(-1, keepdims=True)
    plugged_in = -np.nansum(joint * np.log(np.where(joint > 0, joint / before, 1)))
    assert dataset.entropy_rate == pytest.approx(plugged_in, abs=0.005)
    assert dataset.entropy_rate < math.log(symbols) - 0.1


def test_every_place_is_in_the_stationary_distribution():
    dataset = markov_source(generator=generator(), num_examples=20_000, block_length=6, num_symbols=4, order=2)
    inputs = torch.cat([split.inputs for split in splits(dataset)])
    shares = torch.stack([torch.bincount(column, minlength=4) / len(column) for column in inputs.T])
    assert (shares - shares.mean(0)).abs().max() < 0.015


def test_stationary_distribution_oracle():  # the eigenvector to the eigenvalue 1
    table = torch.rand(5, 5, generator=generator(), dtype=torch.float64)
    table /= table.sum(1, keepdim=True)
    values, vectors = np.linalg.eig(table.T.numpy())
    own = np.real(vectors[:, np.argmin(abs(values - 1))])
    np.testing.assert_allclose(stationary_distribution(table).numpy(), own / own.sum(), atol=1e-10)


def test_hand():  # from 0 always to 1, from 1 to 0 with 1/2: pi = (1/3, 2/3), period avoided
    table = torch.tensor([[0.0, 1.0], [0.5, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(stationary_distribution(table), torch.tensor([1 / 3, 2 / 3], dtype=torch.float64))


def test_concentration():  # a large one makes all rows equal: hardly below log 4
    flat = markov_source(generator=generator(), num_examples=10, num_symbols=4, concentration=1e6)
    sharp = markov_source(generator=generator(), num_examples=10, num_symbols=4, concentration=0.01)
    assert flat.entropy_rate == pytest.approx(math.log(4), abs=1e-4) and sharp.entropy_rate < 0.4


def test_refusals():
    with pytest.raises(UsageError, match=r"dataset\.order=9.*states"):
        markov_source(generator=generator(), order=9)
    with pytest.raises(UsageError, match=r"block_length=2 is below dataset\.order=3"):
        markov_source(generator=generator(), order=3, block_length=2)
