"""Small files in the real formats, written by the tests."""

import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np


def write_idx(path: Path, values: np.ndarray) -> None:
    """Yann LeCun's idx format: two zeros, type 8 (unsigned byte), number of axes, their sizes big-endian, the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes())


def write_mnist(raw: Path, draws: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """100 training and 20 test images in the four files of MNIST; gives (images, targets) of each."""
    written = {}
    for part, n in (("train", 100), ("t10k", 20)):
        images = draws.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        targets = (np.arange(n) % 10).astype(np.uint8)
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", targets)
        written[part] = images, targets
    return written


def write_pickle(path: Path, content: object) -> str:
    """The file's md5, which torchvision checks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = pickle.dumps(content, protocol=2)
    path.write_bytes(data)
    return hashlib.md5(data).hexdigest()


def cifar_rows(draws: np.random.Generator, n: int) -> np.ndarray:
    """[n, 3072]: 1024 red, then green, then blue values of each image, row by row."""
    return draws.integers(0, 256, (n, 3072), dtype=np.uint8)
