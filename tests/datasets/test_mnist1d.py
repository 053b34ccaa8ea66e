import math

import numpy as np
import torch

from lossbench.datasets.mnist1d import mnist1d
from tests.datasets.support import generator, splits

# From the file that the authors publish, mnist1d_data.pkl of github.com/greydanus/mnist1d.
PUBLISHED_LAST_TEST_SIGNAL = [
    *(-0.519329, -0.698723, -1.281038, -2.161015, -2.389421, -0.242339, -0.145678, -0.041040, -0.139493, 0.061646),
    *(0.474228, 0.517487, 0.344090, -0.134121, -0.148340, -0.150192, -0.689318, -0.939254, -0.399550, 0.615838),
    *(1.394928, 1.067678, 0.286509, -0.335997, -0.327938, 0.338137, 0.529135, 0.947050, 1.401763, 0.898273),
    *(0.417956, -0.236090, -0.540012, -0.558772, -0.395911, -0.098646, 0.447233, 0.659876, 0.877734, 1.193152),
]
PUBLISHED_FIRST_TEST_TARGETS = [2, 6, 3, 9, 4, 3, 1, 9, 5, 2, 0, 7, 7, 1, 4, 6, 1, 4, 3, 9]
PUBLISHED_TRAIN_ABSOLUTE_SUM, PUBLISHED_TEST_ABSOLUTE_SUM = 118338.29510719894, 29977.877540866408


def test_equals_the_published_file():
    dataset = mnist1d(generator=generator())
    expected = torch.tensor(PUBLISHED_LAST_TEST_SIGNAL)
    torch.testing.assert_close(dataset.test.inputs[-1], expected, rtol=0, atol=1e-6)
    assert dataset.test.labels["targets"][:20].tolist() == PUBLISHED_FIRST_TEST_TARGETS
    assert torch.bincount(dataset.test.labels["targets"]).tolist() == [102, 104, 89, 106, 106, 98, 99, 96, 98, 102]
    assert math.isclose(dataset.test.inputs.double().abs().sum(), PUBLISHED_TEST_ABSOLUTE_SUM, rel_tol=1e-6)
    published_train = torch.cat([dataset.train.inputs, dataset.validation.inputs])
    assert math.isclose(published_train.double().abs().sum(), PUBLISHED_TRAIN_ABSOLUTE_SUM, rel_tol=1e-6)


def test_splits():  # the generator draws the validation split only
    first, second = mnist1d(generator=generator(0)), mnist1d(generator=generator(1))
    assert torch.equal(first.test.inputs, second.test.inputs)
    assert not torch.equal(first.validation.inputs, second.validation.inputs)
    targets = torch.cat([first.train.labels["targets"], first.validation.labels["targets"]])
    shares = torch.bincount(first.validation.labels["targets"]) - 0.1 * torch.bincount(targets)
    assert shares.abs().max() < 1
    assert [len(split) for split in splits(first)] == [3600, 400, 1000]


def test_signal_seed_and_size():
    small, other = (mnist1d(generator=generator(), num_examples=200, signal_seed=seed) for seed in (42, 43))
    assert [len(split) for split in splits(small)] == [len(split) for split in splits(other)] == [144, 16, 40]
    whole = torch.cat([split.labels["targets"] for split in splits(small)])
    assert torch.bincount(whole).tolist() == [20] * 10
    assert not torch.equal(small.test.inputs, other.test.inputs)


def test_published_accuracy_of_a_linear_model():  # table 1 of the paper: logistic regression 32 %, chance is 10 %
    from sklearn.linear_model import LogisticRegression

    dataset = mnist1d(generator=generator())
    linear = LogisticRegression(max_iter=200).fit(dataset.train.inputs, dataset.train.labels["targets"])
    assert np.isclose(linear.score(dataset.test.inputs, dataset.test.labels["targets"]), 0.32, atol=0.03)
