"""Breast cancer: 569 tumours, 30 measurements of cell nuclei, malignant or benign; in scikit-learn, no download.

Source    Wolberg, Mangasarian, Street and Street 1993, UCI's Breast Cancer Wisconsin (Diagnostic)
Licence   CC BY 4.0 (UCI)
Inputs    [30] real measurements
Splits    60 % train, 20 % validation, 20 % test, stratified by class
"""

import torch
from torch import Generator

from lossbench.datasets.bundled import bundled
from lossbench.datasets.dataset import Dataset, Split, mean_and_std, split_indices


def breast_cancer(*, generator: Generator) -> Dataset:
    """generator draws the split."""
    table = torch.from_numpy(bundled("breast_cancer.csv", header_lines=1))
    whole = Split(table[:, :-1].float(), {"targets": table[:, -1].long()})
    test, validation, train = split_indices(len(whole), (0.2, 0.2), generator, whole.labels["targets"])
    mean, std = mean_and_std(table[train, :-1].float())
    return Dataset(
        train=whole.select(train),
        validation=whole.select(validation),
        test=whole.select(test),
        num_outputs=2,
        mean=mean,
        std=std,
        class_names=["malignant", "benign"],
    )
