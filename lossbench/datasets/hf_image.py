"""Images of any Hugging Face data set: one of the hub, or a local folder of parquet files or of images.

Source    the package ``datasets``; what is downloaded is kept in its own cache (HF_HOME)
Licence   that of the data set
Inputs    [channels, height, width] uint8
Splits    those of the data set: train, validation (valid, val, dev) and test, or the names given; where test is
          missing, 10 % of train are test, and where validation is missing, 10 % of the train that is left are
          validation, drawn at random, stratified by class
Lazily    images that take more than 2 GiB stay in the cache and are read when needed; then mean and standard deviation
          are estimated from 1,000 training images, always the same
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split, carve
from lossbench.datasets.images import Images, dataset_of_images
from lossbench.errors import UsageError, nearest

USUAL_NAMES = {"validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


def hf_image(
    *,
    generator: Generator,
    path: str,
    name: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    train_split: str = "train",
    validation_split: str | None = None,
    test_split: str | None = None,
    size: Annotated[int, Ge(1)] | None = None,
    channels: Literal[1, 3] = 3,
    in_memory: Literal["auto"] | bool = "auto",
) -> Dataset:
    """generator draws the splits that the data set does not have.

    path                        name on the hub, such as ylecun/mnist, or a local folder
    name                        configuration of the data set, where it has several
    image_column, label_column  null finds the only column of images, and the only one of classes
    train_split, ...            names of the splits; null looks for the usual ones
    size                        the shorter side is resized to it and the middle square kept; null leaves images as they
                                are, which must then all have one size
    channels                    1 grey, 3 colour: images are converted
    in_memory                   true decodes all images at the start, false each time they are needed; auto: true below
                                2 GiB
    """
    tables = _load(path, name)
    chosen = {"train": _find_split(tables, "train", train_split)}
    for key, wanted in (("validation", validation_split), ("test", test_split)):
        if wanted is not None or any(usual in tables for usual in USUAL_NAMES[key]):
            chosen[key] = _find_split(tables, key, wanted)
    first = tables[chosen["train"]]
    image_column = _find_column(first, "image_column", image_column, _is_image)
    label_column = _find_column(first, "label_column", label_column, _is_class)
    class_names, number = _classes(first, label_column)
    splits = {
        key: _split(tables[split], image_column, label_column, number, size=size, channels=channels)
        for key, split in chosen.items()
    }
    for key in ("test", "validation"):
        if key not in splits:
            splits[key], splits["train"] = carve(splits["train"], 0.1, generator)
    return dataset_of_images(**splits, class_names=class_names, in_memory=in_memory)


def _load(path: str, name: str | None) -> Mapping[str, Any]:
    import datasets

    try:
        return datasets.load_dataset(path, name)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")
        offline = " HF_HUB_OFFLINE is set: unset it to allow a download." if datasets.config.HF_HUB_OFFLINE else ""
        raise UsageError(
            f"dataset.path={path}: cannot be loaded ({reason}). Looked for the folder {Path(path).resolve()}, in the "
            f"cache {datasets.config.HF_DATASETS_CACHE} and on the hub.{offline} Give a local folder of parquet files "
            "or of images, or the name of a data set on the hub: load it once where there is a network, or point "
            "HF_HOME at a cache that has it."
        ) from error


def _find_split(tables: Mapping[str, Any], key: str, wanted: str | None) -> str:
    if wanted is None:
        return next(usual for usual in USUAL_NAMES[key] if usual in tables)
    if wanted not in tables:
        raise UsageError(
            f"dataset.{key}_split={wanted}: there is no such split{nearest(wanted, tables)} "
            f"The data set has: {', '.join(tables)}."
        )
    return wanted


def _is_image(feature: Any) -> bool:
    import datasets

    if isinstance(feature, datasets.Image):
        return True
    return isinstance(feature, dict) and {"bytes", "path"} == set(feature)  # parquet written by other tools


def _is_class(feature: Any) -> bool:
    import datasets

    return isinstance(feature, datasets.ClassLabel)


def _find_column(table: Any, key: str, wanted: str | None, fits: Callable[[Any], bool]) -> str:
    """The column asked for, or the only one that fits, or for classes one that is called label."""
    found = ", ".join(f"{name} ({_type(feature)})" for name, feature in table.features.items())
    if wanted is not None:
        if wanted not in table.features:
            raise UsageError(
                f"dataset.{key}={wanted}: there is no such column{nearest(wanted, table.features)} It has: {found}."
            )
        return wanted
    fitting = [name for name, feature in table.features.items() if fits(feature)]
    if not fitting and key == "label_column":  # whole numbers or texts, recognised by their name only
        fitting = [name for name in table.features if name in ("label", "labels", "target", "class")]
    if len(fitting) != 1:
        what = "an image column" if key == "image_column" else "a column of classes"
        count = "none" if not fitting else f"several: {', '.join(fitting)}"
        raise UsageError(
            f"dataset.{key}: looked for {what} and found {count}. Set dataset.{key} to one of its columns: {found}."
        )
    return fitting[0]


def _type(feature: Any) -> str:
    return str(getattr(feature, "dtype", None) or type(feature).__name__)


def _classes(table: Any, column: str) -> tuple[list[str], dict[Any, int]]:
    """Names of the classes, and the number of each value of the column: classes in the order of the values."""
    if _is_class(table.features[column]):
        names = table.features[column].names
        return names, {i: i for i in range(len(names))}
    values = table.unique(column)
    if not any(all(isinstance(value, kind) for value in values) for kind in (int, str)):
        raise UsageError(
            f"dataset.label_column={column}: its values are neither whole numbers nor texts but {_type_of(values)}. "
            "Choose a column that holds one class for each image."
        )
    return [str(value) for value in sorted(values)], {value: i for i, value in enumerate(sorted(values))}


def _type_of(values: list[Any]) -> str:
    return ", ".join(sorted({type(value).__name__ for value in values}))


def _split(
    table: Any, image_column: str, label_column: str, number: dict[Any, int], *, size: int | None, channels: int
) -> Split:
    import datasets

    values = list(table[label_column])
    unknown = sorted({str(value) for value in values if value not in number})
    if unknown:
        raise UsageError(
            f"dataset.label_column={label_column}: split {table.split} has classes that train has not: "
            f"{', '.join(unknown[:5])}. Choose another split; -1 marks hidden labels, often of a test split."
        )
    pictures = table.select_columns([image_column]).cast_column(image_column, datasets.Image())
    images = Images(_Column(pictures, image_column), len(pictures), size=size, channels=channels)
    return Split(images, {"targets": torch.tensor([number[value] for value in values])})


class _Column:
    def __init__(self, table: Any, column: str):
        self.table, self.column = table, column

    def open(self, index: int) -> Any:
        return self.table[index][self.column]

    def name(self, index: int) -> str:
        return f"Row {index} of split {self.table.split}, column {self.column},"
