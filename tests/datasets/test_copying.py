import pytest
import torch

from lossbench.datasets.copying import copying
from lossbench.errors import UsageError
from tests.datasets.support import generator, splits


def test_the_answer_repeats_the_symbols():
    dataset = copying(generator=generator(), num_examples=100, length=4, num_symbols=5, delay=3)
    assert dataset.class_names == ["a", "b", "c", "d", "e", ".", ">"]
    for split in splits(dataset):
        for x, targets, mask in zip(split.inputs, split.labels["targets"], split.labels["mask"], strict=True):
            whole = dataset.tokenizer.decode([*x.tolist(), targets[-1].item()]).split()
            assert whole[4:8] == [".", ".", ".", ">"] and whole[8:] == whole[:4]
            assert [whole[i + 1] for i in range(len(mask)) if mask[i]] == whole[:4]  # no more and no less counts


def test_hand():  # a delay of 0: symbols, the sign, symbols
    dataset = copying(generator=generator(), num_examples=20, length=3)
    assert dataset.input_shape == (6,)
    assert dataset.train.labels["mask"][0].tolist() == [False, False, False, True, True, True]
    assert (dataset.train.inputs[:, 3] == dataset.class_names.index(">")).all()


def test_all_symbols_are_as_likely():
    dataset = copying(generator=generator(), num_examples=4000, length=10, num_symbols=4)
    shares = torch.bincount(dataset.train.inputs[:, :10].flatten()).double() / (len(dataset.train) * 10)
    assert (shares - 1 / 4).abs().max() < 0.01


def test_refusals():
    with pytest.raises(UsageError, match=r"only 16 sequences.*num_examples=8"):
        copying(generator=generator(), num_examples=20, length=4, num_symbols=2)
