"""All runs of an outputs folder in one table: a pure function of the files, no database to corrupt."""

import contextlib
import csv
import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lossbench.checkpoint import write_atomically
from lossbench.errors import UsageError


def record_files(outputs: Path) -> Iterator[str]:
    """The record.json of every run that has ended, in a stable order."""
    return _record_files(str(outputs / "runs"))


def _record_files(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    except OSError:  # it was removed, or may not be read
        return
    if "record.json" in found:
        yield f"{folder}/record.json"
        return
    for name in sorted(found):
        if found[name]:
            yield from _record_files(f"{folder}/{name}")


def records(outputs: Path) -> list[dict[str, Any]]:
    """The record of every run that has ended. A damaged record raises UsageError with its path."""
    with _no_garbage():
        return list(map(_read, record_files(outputs)))


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb", buffering=0) as file:
            return json.loads(file.readall())
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is damaged: {error}. Remove that folder and run it again.") from None


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """Within: no garbage collection. It would go through all that was read again and again, for half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            # All that was made counts as old from here on, or the next collection would go through it after all.
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def unfinished(outputs: Path) -> list[Path]:
    """Folders of runs that have begun and not ended: running, or killed."""
    begun = (Path(path) for path, _, files in os.walk(outputs / "runs")
             if "config.yaml" in files and "record.json" not in files)  # fmt: skip
    return sorted(begun)


class _Names(dict[str, str]):
    """{key: prefix + key}, made once: thousands of rows share the names of their columns."""

    def __init__(self, prefix: str):
        self.prefix = prefix

    def __missing__(self, key: str) -> str:
        self[key] = name = self.prefix + key
        return name


@cache
def _names(prefix: str) -> _Names:
    return _Names(prefix)


def _add(found: dict[str, Any], prefix: str, node: Mapping[str, Any]) -> None:
    """Put the node into the row, and the nodes in it with their path; a list as text."""
    names = _names(prefix)
    for key, value in node.items():
        if type(value) is dict:
            _add(found, f"{prefix}{key}.", value)
        else:
            found[names[key]] = _cell(value)


def _cell(value: Any) -> Any:
    return value if type(value) is not list else json.dumps(value) if value else "[]"


def row(record: Mapping[str, Any]) -> dict[str, Any]:
    """One flat row: identity, choices, hyper-parameters, best and final metrics, cost."""
    error = record["error"] or {}
    found: dict[str, Any] = {key: record[key] for key in ("run", "folder", "status")}
    _add(found, "", record["choices"])
    found["seed"] = record["seed"]
    _add(found, "best/", record["best"])
    _add(found, "final/", record["final"])
    for key in ("steps", "epochs", "examples", "parameters", "energy_joules", "resumed"):
        found[key] = record.get(key)
    _add(found, "", record.get("time", {}))
    _add(found, "environment.", record.get("environment", {}))
    found["error"] = f"{error['type']}: {error['message']}" if error else None
    _add(found, "config.", {key: value for key, value in record["config"].items() if key != "choices"})
    return found


def collect(outputs: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(rows, columns in the order in which they first appear), for every run that has ended."""
    with _no_garbage():
        rows = [row(_read(path)) for path in record_files(outputs)]  # one at a time: its memory serves the next one
    columns: dict[str, Any] = {}
    for entry in rows:
        columns.update(entry)
    return rows, list(columns)


def overview(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """(columns, rows) of a table that a person reads: one row for all seeds of what differs in nothing else shown."""
    headline = next((key for entry in rows for key in entry if key.startswith("best/test/")), "best/test/accuracy")
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for entry in rows:
        key = tuple(entry.get(name) for name in ("dataset", "model", "loss", "optimizer", "schedule"))
        groups.setdefault(key, []).append(entry)
    table = []
    for key, own in groups.items():
        scores = [entry[headline] for entry in own if entry.get(headline) is not None]
        counts = [sum(entry["status"] == status for entry in own) for status in ("completed", "diverged")]
        seconds = [entry["wall_seconds"] for entry in own if entry.get("wall_seconds") is not None]
        mean = sum(scores) / len(scores) if scores else None
        wall = sum(seconds) / len(seconds) if seconds else None
        table.append([*key, *counts, len(own) - sum(counts), mean, wall])
    shown = headline.removeprefix("best/")
    counted = ["completed", "diverged", "failed", f"mean {shown}", "seconds a run"]
    return ["dataset", "model", "loss", "optimizer", "schedule", *counted], table


def write(outputs: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[Path]:
    """results.csv and results.parquet in the outputs folder."""
    import io

    import pyarrow
    import pyarrow.parquet

    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    parquet = io.BytesIO()
    arrays = {column: _column([entry.get(column) for entry in rows]) for column in columns}
    pyarrow.parquet.write_table(pyarrow.table(arrays), parquet)
    paths = [outputs / "results.csv", outputs / "results.parquet"]
    try:
        write_atomically(paths[0], text.getvalue().encode())
        write_atomically(paths[1], parquet.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write to {outputs}: {error.strerror}. Choose --outputs.") from None
    return paths


def _column(values: Sequence[Any]) -> Any:
    """One type a column: numbers where all are, else text."""
    import pyarrow

    present = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in present) or all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in present
    ):
        whole = all(isinstance(value, int) for value in present)
        return pyarrow.array(values if whole else [None if v is None else float(v) for v in values])
    return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())
