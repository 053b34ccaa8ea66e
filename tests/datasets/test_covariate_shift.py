import math

import torch

from lossbench.datasets.covariate_shift import covariate_shift
from tests.datasets.support import generator

U = torch.full((50,), 50**-0.5)


def test_distributions():
    dataset = covariate_shift(generator=generator(0), num_examples=8000, shift=1.5)
    places = [
        (dataset.train.inputs, 0.0),
        (dataset.validation.inputs, 0.0),
        (dataset.test.inputs, 1.5),
        (dataset.train.labels["unlabeled_inputs"], 0.0),
        (dataset.train.labels["shifted_inputs"], 1.5),
        (dataset.test.labels["shifted_inputs"], 1.5),
    ]
    for x, distance in places:
        assert abs((x @ U).mean() - distance) < 0.06
        assert abs((x - distance * U).mean(0)).max() < 0.08
        assert abs(x.std() - 1) < 0.01
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [8000, 4000, 16000]
    assert not torch.equal(dataset.train.inputs, dataset.train.labels["unlabeled_inputs"])


def test_targets():  # least squares leaves the noise, whose deviation grows along the shift and nowhere else
    dataset = covariate_shift(generator=generator(1), num_examples=20000, growth=0.7)
    for split in (dataset.train, dataset.test):  # of both distributions alike
        x, y = split.inputs.double(), split.labels["regression_targets"].double() * dataset.target_scale
        where = x @ U.double()
        scale = (0.7 * where).exp()
        rows = torch.cat([x, torch.ones_like(x[:, :1])], 1) / scale[:, None]
        solution = torch.linalg.lstsq(rows, y / scale[:, None]).solution
        residual = (y / scale[:, None] - rows @ solution).flatten()
        assert abs(residual.std() - 1) < 0.02
        for part in (where < where.median(), where > where.median(), x[:, 0] - x[:, 1] > 0):
            assert abs(residual[part].std() - 1) < 0.04
        assert 0.5 < solution[:-1].norm() < 1.6  # about 1


def test_one_width_covers_less_where_it_is_tested():  # the scores' quantiles: 90 % there, about 70 % here
    dataset = covariate_shift(generator=generator(2), num_examples=20000, shift=1.0, growth=0.5)
    place = [torch.exp(0.5 * (split.inputs @ U)) for split in (dataset.train, dataset.test)]
    noise = torch.randn(20000, generator=generator(3)).abs()
    width = (place[0] * noise).quantile(0.9)
    assert ((place[1] * noise.repeat(2)) <= width).double().mean() < 0.8


def test_seeds():
    first, again, other = (covariate_shift(generator=generator(s), num_examples=20) for s in (0, 0, 1))
    assert torch.equal(first.test.inputs, again.test.inputs) and not torch.equal(first.test.inputs, other.test.inputs)
    assert math.isclose(first.train.labels["shifted_inputs"].sum(), again.train.labels["shifted_inputs"].sum())
