"""Rows with named columns, from JSON lines and parquet files or from a data set of the hub, read one by one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lossbench.datasets.text import READERS, USUAL_NAMES, _files, _load
from lossbench.errors import UsageError


def tables_of(path: str, name: str | None, suffix: str = "") -> dict[str, Iterator[Mapping[str, Any]]]:
    """{part: its rows} for train and, where they are there, validation and test.

    path     a file, a folder of files, or a name on the hub
    name     configuration of a data set of the hub
    suffix   splits of the hub may have it behind the usual names
    """
    local = Path(path)
    return _local(_files(local)) if local.exists() else _hub(path, name, suffix)


def _local(files: Mapping[str, Sequence[Path]]) -> dict[str, Iterator[Mapping[str, Any]]]:
    def rows(paths: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
        for path in paths:
            if READERS[path.suffix] == "plain":
                raise UsageError(
                    f"dataset.path: {path} is plain text, which has no columns. Give JSON lines (.jsonl) or parquet."
                )
            if path.stat().st_size:  # of an empty file the reader says nothing that helps
                yield from _load(READERS[path.suffix], data_files=str(path), split="train")

    return {part: rows(paths) for part, paths in files.items()}


def _hub(path: str, name: str | None, suffix: str) -> dict[str, Iterator[Mapping[str, Any]]]:
    found = _load(path, name=name)
    usual = {part: [*names, *(f"{n}{suffix}" for n in names)] for part, names in USUAL_NAMES.items()}
    splits = {part: next((n for n in names if n in found), None) for part, names in usual.items()}
    if splits["train"] is None:
        raise UsageError(f"dataset.path={path}: it has no split train. There are: {', '.join(found)}.")
    return {part: iter(found[split]) for part, split in splits.items() if split}
