"""Wine: 178 Italian wines, 13 chemical measurements, 3 cultivars; in scikit-learn, no download.

Source    Aeberhard and Forina 1991, UCI's Wine
Licence   CC BY 4.0 (UCI)
Inputs    [13] real measurements
Splits    60 % train, 20 % validation, 20 % test, stratified by class
"""

import torch
from torch import Generator

from lossbench.datasets.bundled import bundled
from lossbench.datasets.dataset import Dataset, Split, mean_and_std, split_indices


def wine(*, generator: Generator) -> Dataset:
    """generator draws the split."""
    table = torch.from_numpy(bundled("wine_data.csv", header_lines=1))
    whole = Split(table[:, :-1].float(), {"targets": table[:, -1].long()})
    test, validation, train = split_indices(len(whole), (0.2, 0.2), generator, whole.labels["targets"])
    mean, std = mean_and_std(table[train, :-1].float())
    return Dataset(
        train=whole.select(train),
        validation=whole.select(validation),
        test=whole.select(test),
        num_outputs=3,
        mean=mean,
        std=std,
        class_names=["class_0", "class_1", "class_2"],
    )
