import pytest
import torch

from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.errors import UsageError
from lossbench.variants.unpaired import unpaired
from tests.variants.support import generator


def test_every_side_is_an_example_of_its_own():
    dataset = bradley_terry(generator=generator(), num_examples=40)
    made = unpaired(dataset, generator())
    labels = made.train.labels
    assert made.train.inputs.shape == (80, 1, 4) and labels["desirable"].sum() == 40
    assert "reward_margins" not in labels
    pairs = {tuple(map(tuple, pair.tolist())) for pair in dataset.train.inputs}
    wanted = made.train.inputs[labels["desirable"], 0].sort(0).values
    assert torch.equal(wanted, dataset.train.inputs[:, 0].sort(0).values)
    assert torch.equal(
        made.train.inputs[~labels["desirable"], 0].sort(0).values, dataset.train.inputs[:, 1].sort(0).values
    )
    firsts = {pair[0] for pair in pairs}
    for x, targets, asked, good in zip(
        made.train.inputs, labels["targets"], labels["prompt_ids"], labels["desirable"], strict=True
    ):
        assert torch.equal(x[:, 1:], targets[:, :-1]) and x[0, 0] == asked
        assert not good or tuple(x[0].tolist()) in firsts
    assert made.validation is dataset.validation and made.test is dataset.test


def test_parts():
    dataset = bradley_terry(generator=generator(), num_examples=200)
    made = unpaired(dataset, generator(), desirable=0.1, undesirable=0.5)
    assert made.train.labels["desirable"].sum() == 20 and len(made.train) == 120
    other = unpaired(dataset, generator(1), desirable=0.1, undesirable=0.5)
    assert not torch.equal(made.train.inputs, other.train.inputs)


def test_refuses():
    with pytest.raises(UsageError, match="no training pairs"):
        unpaired(bradley_terry(generator=generator(), completions=3), generator())
