import pytest
import torch

from lossbench.datasets.digits import digits
from lossbench.datasets.reversal import reversal
from lossbench.errors import UsageError
from lossbench.variants.random_answers import random_answers
from tests.variants.support import generator


def test_answers():
    dataset = reversal(generator=generator(), num_examples=2000, length=6, num_symbols=8)
    made = random_answers(dataset, generator(), rate=0.25)
    old, new = dataset.train, made.train
    changed = (old.labels["targets"] != new.labels["targets"]).any(1)
    assert int(changed.sum()) == round(0.25 * len(old))  # 8^-6 is the chance that six draws are the right ones
    assert torch.equal(new.inputs[:, 1:], new.labels["targets"][:, :-1])  # still a sequence
    assert torch.equal(new.inputs[:, :7], old.inputs[:, :7])  # the questions stay
    symbols = new.labels["targets"][changed][:, 6:]
    assert symbols.max() < 8 and (torch.bincount(symbols.flatten()) / symbols.numel() - 1 / 8).abs().max() < 0.03
    right = (symbols == old.labels["targets"][changed][:, 6:]).double().mean()
    assert abs(right - 1 / 8) < 0.03
    assert torch.equal(made.test.inputs, dataset.test.inputs) and torch.equal(old.inputs, dataset.train.inputs)


def test_refused():
    with pytest.raises(UsageError, match="dataset=copying"):
        random_answers(digits(generator=generator()), generator())
