"""Data sets of tokens: blocks of a fixed length, cut from one stream, in memory or in a file that is mapped.

A token file is a line of JSON padded to 4096 bytes, then the tokens, little-endian, two or four bytes each. The header
has their number, type and SHA-256, the parts (train, validation, test) as ranges, and what the tokens were made from.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.tokenizers import Tokenizer
from lossbench.errors import UsageError

HEADER = 4096  # bytes, a page
FORMAT = "lossbench tokens 1"
COUNTED = 2**26  # tokens of a mapped file that frequencies are taken from
PARTS = ("train", "validation", "test")


@dataclass
class TokenDataset(Dataset):
    """Inputs x [n, T] token indices, labels targets [n, T], at each place the token after it; perhaps mask [n, T], true
    where a target counts. num_outputs is the size of the vocabulary.

    tokenizer      of the tokens, for bits per byte and for samples
    entropy_rate   nats per counted token that no model can get below, where the source is known
    transitions    [states, C] probability of each next token, where the source is a Markov chain; the state is the last
                   tokens as digits of a number, the newest one last
    """

    tokenizer: Tokenizer | None = None
    entropy_rate: float | None = None
    transitions: Tensor | None = None

    @cached_property
    def class_counts(self) -> Tensor:  # type: ignore[override]
        """How often each token is a training target, [C], at least 1; of a mapped file from an even sample of it."""
        targets = self.train.labels["targets"]
        tokens = targets.flatten() if isinstance(targets, Tensor) else targets.sample(COUNTED)
        if "mask" in self.train.labels:
            tokens = tokens[self.train.labels["mask"].flatten()]
        counts = torch.bincount(tokens, minlength=self.num_outputs).float()
        if not isinstance(targets, Tensor):
            counts *= targets.numel() / len(tokens)
        return counts.clamp(min=1)


def blocks(tokens: Tensor, length: int) -> Split:
    """As many blocks [n, length] as the tokens have; targets are the same tokens, one later. Both are views of them."""
    number = (len(tokens) - 1) // length
    inputs = tokens[: number * length].view(number, length)
    return Split(inputs, {"targets": tokens[1 : number * length + 1].view(number, length)})


class MappedBlocks:
    """Blocks of a mapped token file, read when they are asked for.

    start    the first token of the first block
    rows     the blocks that are meant, in their order; None: all ``number``
    """

    def __init__(self, file: "TokenFile", start: int, number: int, length: int, rows: Tensor | None = None):
        self.file, self.start, self.number, self.length, self.rows = file, start, number, length, rows

    def __len__(self) -> int:
        return self.number if self.rows is None else len(self.rows)

    def numel(self) -> int:
        return len(self) * self.length

    def __getitem__(self, index: Any) -> Any:
        """[T] of one block; of a tensor of indices those blocks, still unread."""
        if isinstance(index, Tensor) and index.ndim:
            rows = index if self.rows is None else self.rows[index]
            return MappedBlocks(self.file, self.start, self.number, self.length, rows)
        row = int(index if self.rows is None else self.rows[int(index)])
        if not 0 <= row < self.number:
            raise IndexError(row)
        first = self.start + row * self.length
        return torch.from_numpy(self.file.tokens[first : first + self.length].astype(np.int64))

    def sample(self, number: int) -> Tensor:
        """About so many tokens, from blocks at even distances; all where there are no more."""
        some = min(len(self), max(1, number // self.length))
        chosen = torch.linspace(0, len(self) - 1, some, dtype=torch.float64).long()
        return torch.cat([self[int(row)] for row in chosen])

    def min(self) -> int:
        """The bounds of every value, which writing the file made sure of."""
        return 0

    def max(self) -> int:
        return self.file.header["vocabulary"] - 1


class TokenFile:
    """A token file; opened anew in every process that it is sent to."""

    def __init__(self, path: Path):
        self.path = path

    @cached_property
    def header(self) -> dict[str, Any]:
        with open(self.path, "rb") as file:
            text = file.read(HEADER)
        try:
            header = json.loads(text)
            if header["format"] != FORMAT:
                raise ValueError(header["format"])
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{self.path} is no token file. Remove it: it is written again when needed.") from None
        return header

    @cached_property
    def tokens(self) -> np.ndarray:
        dtype = np.dtype(self.header["dtype"]).newbyteorder("<")
        return np.memmap(self.path, dtype, mode="r", offset=HEADER, shape=(self.header["count"],))

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def check(self) -> None:
        """Raises UsageError for a file whose length or digest is not what its header says."""
        expected = HEADER + self.header["count"] * np.dtype(self.header["dtype"]).itemsize
        found = self.path.stat().st_size
        sound = found == expected and _sha256(self.path) == self.header["sha256"]
        if not sound:
            raise UsageError(
                f"{self.path} is damaged: its tokens are not those that were written. Remove it: it is written again."
            )

    def split(self, part: str, length: int, mapped: bool) -> Split:
        """A part as blocks; in memory as int64, or mapped."""
        start, stop = self.header["parts"][part]
        if not mapped:
            return blocks(torch.from_numpy(self.tokens[start:stop].astype(np.int64)), length)
        number = max(stop - start - 1, 0) // length
        inputs, targets = (MappedBlocks(self, start + later, number, length) for later in (0, 1))
        return Split(inputs, {"targets": targets})  # type: ignore[dict-item]


def write_token_file(
    path: Path, vocabulary: int, parts: Mapping[str, Iterator[Sequence[int]]], source: Mapping[str, Any]
) -> TokenFile:
    """Writes the tokens of each part as they come, and gives the file its name when all are there.

    parts    {"train": pieces of tokens, ...}
    source   what the tokens were made from, for the header
    """
    dtype = np.dtype("<u2" if vocabulary <= 2**16 else "<u4")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    digest, count, ranges = hashlib.sha256(), 0, {}
    try:
        with open(temporary, "wb") as file:
            file.seek(HEADER)
            for part, pieces in parts.items():
                start = count
                for piece in pieces:
                    tokens = np.frombuffer(piece, np.uint8) if isinstance(piece, bytes) else np.asarray(piece, np.int64)
                    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < vocabulary:
                        raise ValueError(f"a token outside of 0..{vocabulary - 1}: {tokens.min()} or {tokens.max()}")
                    data = tokens.astype(dtype).tobytes()
                    digest.update(data)
                    file.write(data)
                    count += len(tokens)
                ranges[part] = [start, count]
            header = {
                "format": FORMAT,
                "dtype": dtype.name,
                "count": count,
                "vocabulary": vocabulary,
                "parts": ranges,
                "sha256": digest.hexdigest(),
                "source": dict(source),
            }
            text = json.dumps(header).encode()
            if len(text) >= HEADER:
                raise ValueError("the description of the source does not fit the header")
            file.seek(0)
            file.write(text.ljust(HEADER - 1) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return TokenFile(path)


def carve_parts(parts: Mapping[str, Sequence[int]], fractions: Mapping[str, float]) -> dict[str, tuple[int, int]]:
    """Ranges of tokens: the parts that are missing are taken from the end of train, test behind validation."""
    found = {name: (start, stop) for name, (start, stop) in parts.items()}
    start, stop = found["train"]
    size = stop - start
    for name in ("test", "validation"):
        if name not in found:
            cut = stop - round(size * fractions[name])
            found[name], stop = (cut, stop), cut
    found["train"] = (start, stop)
    return found


def too_short(dataset: Dataset, length: int) -> None:
    """Raises UsageError where a part has not one block."""
    for name in PARTS:
        if not len(getattr(dataset, name)):
            raise UsageError(
                f"dataset.block_length={length}: the {name} part has not one block of so many tokens. "
                "Give a smaller block_length, or more text."
            )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        file.seek(HEADER)
        while piece := file.read(2**24):
            digest.update(piece)
    return digest.hexdigest()
