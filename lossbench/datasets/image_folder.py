"""Image folder: your own images, one folder for each class; through torchvision.

    path/{train,validation,test}/<class>/*.png      the splits as they are; validation may be called val
    path/<class>/*.png                              one set, which is split here

Source    torchvision's ImageFolder finds the classes and files: jpg, png, ppm, bmp, pgm, tif, webp
Inputs    [channels, size, size] uint8
Splits    those of the folders; where test is missing, 10 % of train are test, and where validation is missing, 10 % of
          the train that is left are validation, drawn at random, stratified by class
Lazily    images that take more than 2 GiB stay on the disk and are read when needed; then mean and standard deviation
          are estimated from 1,000 training images, always the same
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split, carve
from lossbench.datasets.images import Images, dataset_of_images
from lossbench.errors import UsageError
from lossbench.torchvision import torchvision

LAYOUT = (
    "It must hold a folder for each class with its images, path/<class>/*.png, or such folders for each split, "
    "path/{train,validation,test}/<class>/*.png. Set dataset.path."
)


def image_folder(
    *,
    generator: Generator,
    path: str,
    size: Annotated[int, Ge(1)] = 224,
    channels: Literal[1, 3] = 3,
    in_memory: Literal["auto"] | bool = "auto",
) -> Dataset:
    """generator draws the splits that the folders do not have.

    path        the folder that holds train, validation and test, or the classes
    size        the shorter side is resized to it and the middle square kept
    channels    1 grey, 3 colour: images are converted
    in_memory   true decodes all images at the start, false each time they are needed; auto: true below 2 GiB
    """
    folder = Path(path)
    has_splits = (folder / "train").is_dir()
    train, class_names = _split(folder / "train" if has_splits else folder, path, size, channels)
    found = {}
    for name, folders in {"test": ("test",), "validation": ("validation", "val")}.items():
        existing = [folder / f for f in folders if has_splits and (folder / f).is_dir()]
        if existing:
            found[name], names = _split(existing[0], path, size, channels)
            if names != class_names:
                raise UsageError(
                    f"dataset.path={path}: {existing[0].resolve()} has other classes than train: "
                    f"{', '.join(sorted(set(names) ^ set(class_names)))}. Give both the same class folders."
                )
        else:
            found[name], train = carve(train, 0.1, generator)
    return dataset_of_images(train, found["validation"], found["test"], class_names=class_names, in_memory=in_memory)


def _split(folder: Path, path: str, size: int, channels: int) -> tuple[Split, list[str]]:
    try:
        files = torchvision().datasets.ImageFolder(folder)
    except FileNotFoundError as error:
        reason = str(error).splitlines()[0].removesuffix(".")
        raise UsageError(f"dataset.path={path}: no images in {folder.resolve()} ({reason}). {LAYOUT}") from error
    paths = [path for path, _ in files.samples]
    images = Images(_Files(paths), len(paths), size=size, channels=channels)
    return Split(images, {"targets": torch.tensor(files.targets)}), files.classes


class _Files:
    def __init__(self, paths: list[str]):
        self.paths = paths

    def open(self, index: int) -> Any:
        from PIL import Image

        return Image.open(self.paths[index])

    def name(self, index: int) -> str:
        return self.paths[index]
