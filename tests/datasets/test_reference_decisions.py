import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lossbench.datasets.reference_decisions import _decide, _learn, reference_decisions
from lossbench.datasets.two_groups import two_groups
from lossbench.decisions import decision_costs
from tests.datasets.support import generator, splits


def test_learned_as_scikit_learn_learns():  # without noise; the half is drawn first
    split = two_groups(generator=generator(), num_examples=2000).train
    half = torch.randperm(len(split), generator=generator(5))[: len(split) // 2]
    model = LogisticRegression(C=100, tol=1e-10, max_iter=1000)
    x = torch.cat([split.inputs[half].double(), torch.ones(len(half), 1)], 1)
    model.set_params(fit_intercept=False).fit(x.numpy(), split.labels["targets"][half])
    np.testing.assert_allclose(_learn(split, 0.0, generator(5)), model.coef_[0], rtol=1e-4, atol=1e-6)


def test_decisions_have_parity_in_the_groups_that_are_seen():
    split = two_groups(generator=generator(), num_examples=20_000).train
    weights = _learn(split, 0.0, generator())
    costs = {}
    for noise in (0.0, 0.3):
        decisions = _decide(split, weights, noise, generator())
        costs[noise] = decision_costs(decisions[None], split.labels["targets"], split.labels["groups"], 2)[0]
    assert costs[0.0][1] < 1e-3
    assert costs[0.3][1] > 0.02


def test_decision_makers_differ_and_are_fallible():
    dataset = reference_decisions(generator=generator(), num_examples=4000, num_demonstrations=10)
    for split in splits(dataset):
        assert split.labels["demonstrations"].shape == (len(split), 10)
        costs = decision_costs(split.labels["demonstrations"].T, split.labels["targets"], split.labels["groups"], 2)
        assert costs[:, 0].min() > 0.1 and costs[:, 0].max() < 0.35
        assert len(costs[:, 0].unique()) > 5
    plain = two_groups(generator=generator(), num_examples=4000)
    assert torch.equal(plain.train.inputs, dataset.train.inputs)
    assert dataset.train.labels["demonstrations"].mean().item() == pytest.approx(0.41, abs=0.1)
