"""Diabetes: 442 patients, 10 measurements, how far the disease went in the next year; in scikit-learn, no download.

Task      regression of one real number, 25..346
Source    Efron, Hastie, Johnstone and Tibshirani 2004, Least Angle Regression; the raw values, not their scaled ones
Licence   none stated by the authors; distributed with scikit-learn
Inputs    [10]: age, sex, body mass index, blood pressure, six blood serum measurements
Splits    60 % train, 20 % validation, 20 % test; targets are standardised with the mean and deviation of train
"""

import torch
from torch import Generator

from lossbench.datasets.bundled import bundled
from lossbench.datasets.dataset import Dataset, Split, mean_and_std, split_indices


def diabetes(*, generator: Generator) -> Dataset:
    """generator draws the split."""
    inputs = torch.from_numpy(bundled("diabetes_data_raw.csv.gz", delimiter=None)).float()
    raw_targets = torch.from_numpy(bundled("diabetes_target.csv.gz", delimiter=None)).float()  # [n, 1]
    test, validation, train = split_indices(len(inputs), (0.2, 0.2), generator)
    mean, std = mean_and_std(inputs[train])
    target_mean, target_scale = mean_and_std(raw_targets[train])
    whole = Split(inputs, {"regression_targets": (raw_targets - target_mean) / target_scale})
    return Dataset(
        train=whole.select(train),
        validation=whole.select(validation),
        test=whole.select(test),
        num_outputs=1,
        mean=mean,
        std=std,
        target_scale=target_scale,
    )
