"""All runs of an outputs folder: a pure function of the files, no database to corrupt."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def folders(outputs: Path) -> Iterator[Path]:
    """The folder of every run that has ended, in a stable order."""
    for path, names, files in os.walk(outputs / "runs"):
        names.sort()
        if "record.json" in files:
            names.clear()
            yield Path(path)


def records(outputs: Path) -> list[dict[str, Any]]:
    """The record of every run that has ended."""
    found = []
    for folder in folders(outputs):
        with open(folder / "record.json", "rb") as file:
            found.append(json.loads(file.read()))
    return found
