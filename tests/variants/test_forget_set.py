import pytest
import torch

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.forget_set import forget_set
from tests.variants.support import generator


def numbered(n=100, classes=5):
    """Splits in which input i is the number i, its class i mod 5 and its group i mod 2; no number is in two splits."""

    def split(start):
        inputs = torch.arange(start, start + n).float().unsqueeze(1)
        return Split(inputs, {"targets": inputs[:, 0].long() % classes, "groups": inputs[:, 0].long() % 2})

    return Dataset(split(0), split(1000), split(2000), classes)


def numbers(split):
    return split.inputs[:, 0].long().tolist()


def test_marked_at_random():  # each class its share; the rest of the data set is as it was
    dataset = numbered()
    made = forget_set(dataset, generator(), fraction=0.2)
    forgotten = made.train.labels["forgotten"]
    assert numbers(made.train) == list(range(100)) and forgotten.sum() == 20
    assert torch.bincount(made.train.labels["targets"][forgotten]).tolist() == [4] * 5
    assert numbers(made.extra["forget"]) == forgotten.nonzero().flatten().tolist()
    assert numbers(made.extra["retain"]) == (~forgotten).nonzero().flatten().tolist()
    assert made.extra["forget"].labels["forgotten"].all() and not made.extra["retain"].labels["forgotten"].any()
    assert made.validation is dataset.validation and made.test is dataset.test
    assert set(made.extra) == {"forget", "retain"} and "forgotten" not in dataset.train.labels
    assert numbers(forget_set(dataset, generator(1), fraction=0.2).extra["forget"]) != numbers(made.extra["forget"])


def test_what_training_sees():  # of one seed the forget set is the same, whatever the training split has
    whole = forget_set(numbered(), generator(), fraction=0.1)
    without = forget_set(numbered(), generator(), fraction=0.1, keep="retain")
    some = forget_set(numbered(), generator(), fraction=0.1, retain_per_forget=1.5)
    for made in (without, some):
        for name in ("forget", "retain"):
            assert numbers(made.extra[name]) == numbers(whole.extra[name])
    assert numbers(without.train) == numbers(whole.extra["retain"]) and len(without.train) == 90
    assert len(some.train) == 25 and some.train.labels["forgotten"].sum() == 10
    forgotten = some.train.labels["forgotten"].tolist()
    assert [i for i, f in zip(numbers(some.train), forgotten, strict=True) if f] == numbers(whole.extra["forget"])
    assert set(numbers(some.train)) <= set(range(100)) and len(set(numbers(some.train))) == 25


def test_whole_classes_and_groups():
    made = forget_set(numbered(), generator(), classes=[1, 3], groups=[1], fraction=1.0)
    expected = [i for i in range(100) if i % 5 in (1, 3) and i % 2 == 1]
    assert numbers(made.extra["forget"]) == expected
    assert numbers(made.extra["unseen_forget"]) == [2000 + i for i in expected]
    assert numbers(made.extra["unseen_retain"]) == [2000 + i for i in range(100) if i not in expected]
    assert len(made.test) == 100
    part = forget_set(numbered(), generator(), classes=[2], fraction=0.5)  # the class stays known: nothing is unseen
    assert len(part.extra["forget"]) == 10 and all(i % 5 == 2 for i in numbers(part.extra["forget"]))
    assert set(part.extra) == {"forget", "retain"}


def test_refused():
    with pytest.raises(UsageError, match="100 of 100 training examples would be forgotten"):
        forget_set(numbered(), generator(), fraction=1.0)
    with pytest.raises(UsageError, match="0 of 100"):
        forget_set(numbered(), generator(), classes=[7])
    with pytest.raises(UsageError, match=r"retain_per_forget=20: that is 200 examples, and only 90"):
        forget_set(numbered(), generator(), retain_per_forget=20.0)
    with pytest.raises(UsageError, match="made a forget set already"):
        forget_set(forget_set(numbered(), generator()), generator())
    split = Split(torch.zeros(10, 3), {"targets": torch.zeros(10, 3).long()})
    with pytest.raises(UsageError, match=r"groups=\[0\].*have no groups, their labels are targets"):
        forget_set(Dataset(split, split, split, 4), generator(), groups=[0])
    with pytest.raises(UsageError, match="have no classes"):  # one class a token is no class of an example
        forget_set(Dataset(split, split, split, 4), generator(), classes=[0])
