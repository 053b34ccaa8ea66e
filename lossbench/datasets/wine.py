"""Wine: 178 Italian wines, 13 chemical measurements, 3 cultivars; in scikit-learn, no download.

Source    Aeberhard and Forina 1991, UCI's Wine
Licence   CC BY 4.0 (UCI)
Inputs    [13] real measurements
Splits    60 % train, 20 % validation, 20 % test, stratified by class
"""

import torch
from torch import Generator

from lossbench.datasets.bundled import bundled, classified_rows
from lossbench.datasets.dataset import Dataset


def wine(*, generator: Generator) -> Dataset:
    """generator draws the split."""
    table = torch.from_numpy(bundled("wine_data.csv", header_lines=1))
    return classified_rows(table, ["class_0", "class_1", "class_2"], generator)
