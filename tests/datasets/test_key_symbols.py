import pytest

from lossbench.datasets.key_symbols import key_symbols
from lossbench.errors import UsageError
from tests.datasets.support import generator, splits


@pytest.mark.parametrize("order", ["text", "alphabet", "random"])
def test_the_summary_has_every_capital_letter_once(order):
    dataset = key_symbols(generator=generator(), num_examples=300, length=9, num_keys=4, order=order)
    shuffled = 0
    for split in splits(dataset):
        for x, targets, mask in zip(split.inputs, split.labels["targets"], split.labels["mask"], strict=True):
            whole = dataset.tokenizer.decode([*x.tolist(), targets[-1].item()]).split()
            text, summary = whole[:9], whole[10:]
            keys = list(dict.fromkeys(letter for letter in text if letter.isupper()))
            assert whole[9] == ">" and len(keys) >= 2
            wanted = sorted(keys) if order == "alphabet" else keys
            found = summary[: len(keys)]
            shuffled += found != wanted
            assert sorted(found) == sorted(wanted) and set(summary[len(keys) :]) == {"."}
            assert mask.tolist() == [False] * 9 + [True] * (len(keys) + 1) + [False] * (4 - len(keys))
    assert shuffled == 0 if order != "random" else shuffled > 100


def test_too_few():
    with pytest.raises(UsageError, match="key_rate"):
        key_symbols(generator=generator(), num_examples=10, length=2, key_rate=0.01)
