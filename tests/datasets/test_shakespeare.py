import pytest

from lossbench.datasets import shakespeare
from lossbench.errors import UsageError
from tests.datasets.support import generator, splits


def test_facts():  # 1.0 MB, 76 different characters, eight plays
    text = shakespeare.text()
    assert len(set(text)) == 76
    assert 1_000_000 <= len(text) <= 1_100_000
    assert text.count("by William Shakespeare") == 8
    assert "To be, or not to be,--that is the question:--" in text


def test_parts_are_contiguous_and_apart():
    whole = shakespeare.text().encode()
    dataset = shakespeare.shakespeare(generator=generator(), block_length=100)
    start, sizes = 0, (828804, 103600, 103600)  # 80 %, 10 % and 10 % of 1,036,004 bytes
    for split, size in zip(splits(dataset), sizes, strict=True):
        assert len(split) == (size - 1) // 100
        assert bytes(split.inputs.flatten().tolist()) == whole[start : start + 100 * len(split)]
        assert bytes(split.labels["targets"].flatten().tolist()) == whole[start + 1 : start + 1 + 100 * len(split)]
        start += size
    assert start == len(whole) and dataset.num_outputs == 256


def test_too_long_a_block():
    with pytest.raises(UsageError, match=r"dataset\.block_length=103600: the validation part"):
        shakespeare.shakespeare(generator=generator(), block_length=103600)
