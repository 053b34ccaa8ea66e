import pytest
import torch

from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.datasets.digits import digits
from lossbench.datasets.tokens import TokenDataset
from lossbench.errors import UsageError
from lossbench.variants.completions import completions
from tests.variants.support import generator


def test_samples():
    dataset = bradley_terry(generator=generator(), num_examples=50, num_samples=70, prompt_length=2)
    made = completions(dataset, generator())
    assert isinstance(made, TokenDataset) and made.input_shape == dataset.input_shape[-1:]
    rows = torch.cat([made.train.inputs, made.train.labels["targets"][:, -1:]], 1)
    assert torch.equal(rows, dataset.samples[0])
    assert made.train.labels["mask"].tolist() == [[False, True, True, True, True]] * 70
    assert torch.equal(made.validation.inputs, dataset.validation.inputs.flatten(0, 1))  # the completions of pairs
    assert made.class_counts.sum() == 70 * 4


def test_chosen_only():
    dataset = bradley_terry(generator=generator(), num_examples=50)
    made = completions(dataset, generator(), chosen_only=True)
    for own, split in ((made.train, dataset.train), (made.test, dataset.test)):
        assert torch.equal(own.inputs, split.inputs[:, 0])
        assert torch.equal(own.labels["targets"], split.labels["targets"][:, 0])


def test_without_samples():
    dataset = bradley_terry(generator=generator(), num_examples=50)
    dataset.samples = None
    assert torch.equal(completions(dataset, generator()).train.inputs, dataset.train.inputs.flatten(0, 1))


def test_refuses():
    with pytest.raises(UsageError, match="neither preferences nor samples"):
        completions(digits(generator=generator()), generator())
