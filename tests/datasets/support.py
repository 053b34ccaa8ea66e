"""What the tests of the data sets share."""

import subprocess
import sys

import numpy as np
import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset, Split


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def splits(dataset: Dataset) -> tuple[Split, Split, Split]:
    return dataset.train, dataset.validation, dataset.test


def rows(inputs: object, labels: object) -> np.ndarray:
    """Inputs and labels side by side, as a sorted list of rows: what an order of the examples cannot change."""
    inputs, labels = torch.as_tensor(inputs), torch.as_tensor(labels)
    table = torch.cat([inputs.flatten(1).float(), labels.reshape(len(inputs), -1).float()], 1).numpy()
    return table[np.lexsort(table.T)]


def all_rows(dataset: Dataset, label: str) -> np.ndarray:
    return rows(
        torch.cat([split.inputs for split in splits(dataset)]),
        torch.cat([split.labels[label] for split in splits(dataset)]),
    )


def stratified(dataset: Dataset, whole: Tensor, share: float, name: str) -> None:
    """Every class has its share in the split, to the nearest whole number."""
    expected = [round(share * int(n)) for n in torch.bincount(whole)]
    assert torch.bincount(getattr(dataset, name).labels["targets"]).tolist() == expected


def run_python(code: str, *arguments: str) -> str:
    """What a new Python process prints; fails where the process does."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
