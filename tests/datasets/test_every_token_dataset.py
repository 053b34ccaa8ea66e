"""What holds for every data set of tokens that needs no file: found by itself in configs/dataset."""

import pytest
import torch

from lossbench import contract
from lossbench.datasets.tokens import TokenDataset
from tests.datasets.support import splits
from tests.datasets.test_every_dataset import CONFIGS, TOKENS, build

MADE = sorted(name for name in TOKENS if not {"root", "path"} & set(CONFIGS[name]))
DRAWN = [name for name in MADE if not name.startswith("shakespeare")]  # whose parts are those of the text


def test_some_are_found():
    assert {"shakespeare", "copying", "reversal", "addition", "markov_source"} <= set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_shapes_and_types(name):
    dataset = build(name)
    assert isinstance(dataset, TokenDataset) and len(dataset.input_shape) == 1
    for split in splits(dataset):
        assert len(split) > 0 and split.inputs.dtype == torch.int64
        for values in (split.inputs, split.labels["targets"]):
            assert values.shape == (len(split), *dataset.input_shape) and values.dtype == torch.int64
            assert values.min() >= 0 and values.max() < dataset.num_outputs
        if "mask" in split.labels:
            assert split.labels["mask"].shape == split.inputs.shape and split.labels["mask"].dtype == torch.bool
            assert split.labels["mask"].any(1).all()


@pytest.mark.parametrize("name", MADE)
def test_a_target_is_the_token_after_its_input(name):
    for split in splits(build(name)):
        assert torch.equal(split.inputs[:, 1:], split.labels["targets"][:, :-1])


@pytest.mark.parametrize("name", MADE)
def test_tokenizer(name):
    dataset = build(name)
    tokens = dataset.test.inputs[0].tolist()
    assert dataset.tokenizer.size == dataset.num_outputs == len(dataset.tokenizer.token_bytes)
    assert list(dataset.tokenizer.encode(dataset.tokenizer.decode(tokens))) == tokens


@pytest.mark.parametrize("name", MADE)
def test_counts_are_those_of_the_targets_that_count(name):
    dataset = build(name)
    targets, mask = dataset.train.labels["targets"], dataset.train.labels.get("mask")
    seen = [0] * dataset.num_outputs
    for token in (targets if mask is None else targets[mask]).flatten().tolist():
        seen[token] += 1
    assert dataset.class_counts.tolist() == [max(count, 1) for count in seen]


@pytest.mark.parametrize("name", DRAWN)
def test_the_generator_decides(name):
    first, again, other = build(name), build(name), build(name, seed=1)
    for one, two in zip(splits(first), splits(again), strict=True):
        assert torch.equal(one.inputs, two.inputs) and torch.equal(one.labels["targets"], two.labels["targets"])
    assert not torch.equal(first.validation.inputs, other.validation.inputs)


@pytest.mark.parametrize("name", DRAWN)
def test_no_sequence_is_in_two_splits(name):
    whole = torch.cat([torch.cat([s.inputs, s.labels["targets"][:, -1:]], 1) for s in splits(build(name))])
    assert len(whole.unique(dim=0)) == len(whole)


@pytest.mark.parametrize("name", MADE)
def test_defaults_are_in_their_ranges(name):
    function = getattr(__import__(f"lossbench.datasets.{name}", fromlist=[name]), name)
    own = {key: p.default for key, p in contract.hyperparameters(function).items() if key != "generator"}
    contract.check(function, own, "dataset")
