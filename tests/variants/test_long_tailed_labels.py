import math

import pytest
import torch

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.variants.long_tailed_labels import long_tailed_labels
from tests.variants.support import classification, generator, only_train_changes


def multilabel(n, labels=4, seed=0):
    """n examples with 0 to 2 of the labels; input i is the number i."""
    made = torch.zeros(n, labels)
    drawn = torch.randint(labels + 1, (n, 2), generator=torch.Generator().manual_seed(seed))
    for i, pair in enumerate(drawn.tolist()):
        for c in pair:
            if c < labels:
                made[i, c] = 1
    split = Split(torch.arange(n).float().unsqueeze(1), {"labels": made})
    held_out = [Split(torch.zeros(3, 1), {"labels": torch.ones(3, labels)}) for _ in range(2)]
    return Dataset(split, *held_out, num_outputs=labels)


def test_sizes():
    dataset = multilabel(400)
    largest = int(dataset.class_counts.max())
    made = only_train_changes(long_tailed_labels, dataset, imbalance_factor=8.0)
    allowed = [math.floor(largest * 8 ** (-c / 3) + 1e-9) for c in range(4)]
    counts = made.train.labels["labels"].sum(0).tolist()
    assert all(count <= size for count, size in zip(counts, allowed, strict=True))
    assert counts == sorted(counts, reverse=True) and counts[3] == allowed[3]


def test_what_is_left_out_would_not_fit():  # and every example has the labels that it had
    dataset = multilabel(400)
    made = long_tailed_labels(dataset, generator(), imbalance_factor=8.0)
    kept = made.train.inputs[:, 0].long()
    assert len(kept.unique()) == len(kept)
    assert torch.equal(made.train.labels["labels"], dataset.train.labels["labels"][kept])
    largest = int(dataset.class_counts.max())
    counts = made.train.labels["labels"].sum(0)
    full = [c for c in range(4) if counts[c] == math.floor(largest * 8 ** (-c / 3) + 1e-9)]
    left_out = set(range(400)) - set(kept.tolist())
    assert left_out and all(dataset.train.labels["labels"][i, full].any() for i in left_out)


def test_limit():  # one example for the last label; no imbalance keeps all of a balanced data set
    made = long_tailed_labels(multilabel(400), generator(), imbalance_factor=1e6)
    assert int(made.train.labels["labels"][:, 3].sum()) == 1
    labels = torch.eye(4).repeat(5, 1)
    split = Split(torch.arange(20).float().unsqueeze(1), {"labels": labels})
    assert len(long_tailed_labels(Dataset(split, split, split, 4), generator(), imbalance_factor=1.0).train) == 20


def test_needs_labels():
    with pytest.raises(UsageError, match="variant=long_tailed_labels: it needs labels"):
        long_tailed_labels(classification([3, 3]), generator())
