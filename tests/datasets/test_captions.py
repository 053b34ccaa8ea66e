import pytest

from lossbench.datasets.captions import captions
from lossbench.errors import UsageError
from tests.datasets.support import generator, splits


def test_descriptions_are_true():  # in the order of the object, with what counts as a whole: words and a full stop
    dataset = captions(generator=generator(), num_examples=600, num_attributes=4, num_values=6, mention_rate=0.3)
    seen, named = set(), 0
    for split in splits(dataset):
        for x, targets, mask in zip(split.inputs, split.labels["targets"], split.labels["mask"], strict=True):
            words = dataset.tokenizer.decode([*x.tolist(), targets[-1].item()]).split()
            thing, said = words[:4], words[5 : words.index(".") + 1]
            assert words[4] == ">" and [w[0] for w in thing] == ["a", "b", "c", "d"]
            assert said[-1] == "." and len(said) > 1 and set(words[5 + len(said) :]) <= {"."}
            assert [w for w in thing if w in said] == said[:-1]
            assert mask.tolist() == [False] * 4 + [True] * len(said) + [False] * (5 - len(said))
            seen.add(tuple(thing))
            named += len(said) - 1
    assert len(seen) == 600
    assert abs(named / 600 - (1 + 3 * 0.3)) < 0.1  # one always, each other one with the rate


def test_too_few_objects():
    with pytest.raises(UsageError, match="make only 16 objects"):
        captions(generator=generator(), num_examples=17, num_attributes=4, num_values=2)
