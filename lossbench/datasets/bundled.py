"""The small real data sets that scikit-learn's package carries as text files.

They are read from its folder without importing it: ``import sklearn.datasets`` costs more than a second, longer than
the rest of a run's start.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split, mean_and_std, split_indices
from lossbench.errors import UsageError


def bundled(file_name: str, *, delimiter: str | None = ",", header_lines: int = 0) -> np.ndarray:
    """The numbers of sklearn/datasets/data/<file_name>, float64 [rows, columns]. delimiter None is white space."""
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise UsageError(f"{file_name} comes with scikit-learn, which is not installed. Run: pip install scikit-learn")
    path = Path(found.origin).parent / "datasets" / "data" / file_name
    if not path.exists():
        raise UsageError(
            f"{path} is not there: this scikit-learn no longer carries the data set. "
            "Install the release that lossbench was tested with: pip install 'scikit-learn==1.9.*'"
        )
    return np.loadtxt(path, delimiter=delimiter, skiprows=header_lines, ndmin=2)


def classified_rows(table: Tensor, class_names: Sequence[str], generator: Generator) -> Dataset:
    """Rows of measurements whose last column is the class: 60 % train, 20 % validation, 20 % test, stratified."""
    whole = Split(table[:, :-1].float(), {"targets": table[:, -1].long()})
    test, validation, train = split_indices(len(whole), (0.2, 0.2), generator, whole.labels["targets"])
    mean, std = mean_and_std(table[train, :-1].float())
    return Dataset(
        train=whole.select(train),
        validation=whole.select(validation),
        test=whole.select(test),
        num_outputs=len(class_names),
        mean=mean,
        std=std,
        class_names=class_names,
    )
