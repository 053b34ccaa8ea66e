"""Breast cancer: 569 tumours, 30 measurements of cell nuclei, malignant or benign; in scikit-learn, no download.

Source    Wolberg, Mangasarian, Street and Street 1993, UCI's Breast Cancer Wisconsin (Diagnostic)
Licence   CC BY 4.0 (UCI)
Inputs    [30] real measurements
Splits    60 % train, 20 % validation, 20 % test, stratified by class
"""

import torch
from torch import Generator

from lossbench.datasets.bundled import bundled, classified_rows
from lossbench.datasets.dataset import Dataset


def breast_cancer(*, generator: Generator) -> Dataset:
    """generator draws the split."""
    table = torch.from_numpy(bundled("breast_cancer.csv", header_lines=1))
    return classified_rows(table, ["malignant", "benign"], generator)
