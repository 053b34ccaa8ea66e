"""Calibration split: the training split in two parts, one for a frozen model, one for what is fitted on its answers.

fraction  in (0, 1): share of the training examples that are for calibration, stratified by class
part      calibration: these are the training split; model: the others are. Of one data_seed the two do not overlap
Kept      validation and test stay as they are
"""

from dataclasses import replace
from typing import Annotated, Literal

from annotated_types import Interval
from torch import Generator

from lossbench.datasets.dataset import Dataset, carve


def calibration_split(
    dataset: Dataset,
    generator: Generator,
    *,
    fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.2,
    part: Literal["calibration", "model"] = "calibration",
) -> Dataset:
    calibration, model = carve(dataset.train, fraction, generator)
    return replace(dataset, train=calibration if part == "calibration" else model)
