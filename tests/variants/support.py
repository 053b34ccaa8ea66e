"""What the tests of the variants share."""

import torch

from lossbench.datasets.dataset import Dataset, Split


def classification(counts, classes=None):
    """A data set whose training split has counts[c] examples of class c in random order; input i is the number i."""
    targets = torch.cat([torch.full((n,), c) for c, n in enumerate(counts)])
    targets = targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(9))]
    train = Split(torch.arange(len(targets)).float().unsqueeze(1), {"targets": targets})
    held_out = [Split(torch.zeros(6, 1), {"targets": torch.arange(6) % len(counts)}) for _ in range(2)]
    return Dataset(train, *held_out, num_outputs=classes or len(counts))


def regression(n):
    split = Split(torch.arange(n).float().unsqueeze(1), {"regression_targets": torch.zeros(n, 1)})
    return Dataset(split, split, split, num_outputs=1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def only_train_changes(variant, dataset, **hyperparameters):
    """The variant of this data set, after these checks: the given data set, validation and test stay as they are, the
    same generator gives the same and another one something else."""
    before = {key: values.clone() for key, values in dataset.train.labels.items()}
    first, again, other = (variant(dataset, generator(seed), **hyperparameters) for seed in (0, 0, 1))
    assert first.validation is dataset.validation and first.test is dataset.test
    assert dataset.train.labels.keys() == before.keys()
    assert all(torch.equal(dataset.train.labels[key], before[key]) for key in before)

    def everything(made):
        return [made.train.inputs, *(made.train.labels[key] for key in sorted(made.train.labels))]

    assert all(torch.equal(a, b) for a, b in zip(everything(first), everything(again), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(everything(first), everything(other), strict=True))
    return first


def still_together(made, dataset, label="targets"):
    """Every kept input has the label it had."""
    kept = made.train.inputs[:, 0].long()
    assert len(kept.unique()) == len(kept)
    assert torch.equal(made.train.labels[label], dataset.train.labels["targets"][kept])
