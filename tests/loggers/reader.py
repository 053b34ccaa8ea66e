"""Reads back what wandb wrote offline: a 7-byte header, LevelDB log blocks of 32 KiB, protobuf records."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK = 32768


def records(path: Path) -> Iterator[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, parts = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if (left := BLOCK - position % BLOCK) < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0 or position + 7 + length > len(data):
            return
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


@dataclass
class Offline:
    """One offline run as its file has it; ``exit_code`` None: it never ended."""

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    def rows(self) -> list[dict[str, Any]]:
        """Without wandb's own columns."""
        return [{k: v for k, v in row.items() if not k.startswith("_")} for row in self.history]


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def read(path: Path) -> Offline:
    found = Offline()
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= {_key(item): json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            found.history.append({_key(item): json.loads(item.value_json) for item in record.history.item})
        elif kind == "metric":
            found.metrics[record.metric.name] = record.metric
        elif kind == "summary":
            found.summary |= {_key(item): json.loads(item.value_json) for item in record.summary.update}
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def offline_runs(directory: Path) -> list[Offline]:
    """All offline runs under wandb's directory, the oldest first."""
    return [read(path) for path in sorted((directory / "wandb").glob("offline-run-*/*.wandb"))]
