import pytest
import torch

from lossbench.errors import UsageError
from lossbench.variants.missing_positives import missing_positives
from tests.variants.support import classification, generator, only_train_changes
from tests.variants.test_long_tailed_labels import multilabel


@pytest.mark.parametrize("rate", [0.4, 0.0, 1.0])
def test_exactly_so_many_of_each_label(rate):
    dataset = multilabel(300)
    before = dataset.train.labels["labels"].clone()
    made = missing_positives(dataset, generator(), rate=rate)
    after = made.train.labels["labels"]
    assert torch.equal(made.train.inputs, dataset.train.inputs)
    assert torch.equal(dataset.train.labels["labels"], before)
    assert not ((after == 1) & (before == 0)).any()  # no positive appears
    missing = (before - after).sum(0).tolist()
    assert missing == [round(rate * int(n)) for n in before.sum(0)]


def test_at_random():
    dataset = multilabel(300)
    made = only_train_changes(missing_positives, dataset, rate=0.5)
    positives = dataset.train.labels["labels"][:, 0] == 1
    kept = made.train.labels["labels"][positives, 0]
    assert 0 < kept[: len(kept) // 2].mean() < 1 and 0 < kept[len(kept) // 2 :].mean() < 1


def test_needs_labels():
    with pytest.raises(UsageError, match="variant=missing_positives: it needs labels"):
        missing_positives(classification([3, 3]), generator())
