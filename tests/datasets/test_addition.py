import pytest

from lossbench.datasets.addition import addition
from lossbench.errors import UsageError
from tests.datasets.support import generator, splits


@pytest.mark.parametrize("least_significant_first", [False, True])
def test_sums_are_right(least_significant_first):
    dataset = addition(
        generator=generator(), num_examples=200, digits=3, least_significant_first=least_significant_first
    )
    carried = 0
    for split in splits(dataset):
        for x, targets, mask in zip(split.inputs, split.labels["targets"], split.labels["mask"], strict=True):
            text = dataset.tokenizer.decode([*x.tolist(), targets[-1].item()]).replace(" ", "")
            summands, total = text.split("=")
            first, second = summands.split("+")
            assert len(first) == len(second) == 3 and len(total) == 4
            assert int(first) + int(second) == int(total[::-1] if least_significant_first else total)
            assert mask.tolist() == [False] * 7 + [True] * 4
            carried += int(first) + int(second) >= 1000
    assert 60 < carried < 140  # half of all sums


def test_few_digits():  # all 100 pairs
    dataset = addition(generator=generator(), num_examples=100, digits=1)
    assert sum(len(split) for split in splits(dataset)) == 100
    with pytest.raises(UsageError, match=r"only 100 pairs"):
        addition(generator=generator(), num_examples=101, digits=1)
