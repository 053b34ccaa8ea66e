"""What the data sets that torchvision reads and downloads have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split, carve, mean_and_std
from lossbench.errors import UsageError
from lossbench.torchvision import torchvision


def from_torchvision(
    class_name: str, *, generator: Generator, root: str, download: bool, folder: str, files: Sequence[str]
) -> Dataset:
    """A data set of torchvision.datasets that has its images in memory as ``data`` and classes as ``targets``.

    root, download    where the files are or will be; whether they may be downloaded when they are not
    folder, files     where torchvision keeps them below root, for the error that says what is missing
    The official test split is test; 10 % of the official training split, stratified by class, is validation.
    """
    kind = getattr(torchvision().datasets, class_name)
    try:
        parts = [kind(root, train=train, download=False) for train in (True, False)]
    except Exception as error:  # missing or damaged: torchvision has no error of its own for either
        if not download:
            raise _unavailable(root, folder, files, error, "dataset.download=false forbids to download it") from error
        parts = _download(kind, root, folder, files)
    train, test = (Split(_images(part.data), {"targets": torch.as_tensor(part.targets).long()}) for part in parts)
    validation, train = carve(train, 0.1, generator)
    mean, std = mean_and_std(train.inputs)
    classes = [str(name) for name in parts[0].classes]
    return Dataset(train, validation, test, len(classes), mean=mean, std=std, class_names=classes)


def _images(data: Any) -> Tensor:
    """[n, height, width] or [n, height, width, channels] as [n, channels, height, width]."""
    images = torch.as_tensor(data)
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()


def _download(kind: Any, root: str, folder: str, files: Sequence[str]) -> list[Any]:
    from filelock import FileLock  # torch depends on it

    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        with FileLock(Path(root) / f".{kind.__name__}.lock"):  # the runs of a sweep start together
            return [kind(root, train=train, download=True) for train in (True, False)]
    except Exception as error:  # no network, no such host, a full disk, a damaged file, ...
        raise _unavailable(root, folder, files, error, "downloading it failed") from error


def _unavailable(root: str, folder: str, files: Sequence[str], error: Exception, why: str) -> UsageError:
    place = Path(root).resolve() / folder
    missing = [name for name in files if not (place / name).exists()]
    found = f"{', '.join(missing)} not found" if missing else "the files are there but damaged"
    reason = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
    return UsageError(
        f"dataset.root={root}: looked in {place}: {found}, and {why} ({reason}). "
        f"Put {', '.join(files)} into that folder, or set dataset.root (or the environment variable LOSSBENCH_DATA) to "
        f"the folder that holds {folder}, or run once with dataset.download=true where there is a network."
    )
