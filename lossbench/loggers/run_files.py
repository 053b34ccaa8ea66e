"""A run's folder as a logger reads it: rows that grow, the record that comes last. Standard library, no torch."""

import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

MARKER = "wandb.json"
PARTS = 4  # of a run's name: data set, model, loss, seed with hash


def run_name(folder: Path) -> str:
    """The readable name, such as 'digits/mlp/focal/seed0-1a2b3c4d': the path below runs/, else its last parts."""
    parts = folder.absolute().parts
    below = parts[len(parts) - parts[::-1].index("runs") :] if "runs" in parts else ()
    return "/".join(below or parts[-PARTS:])


def run_id(folder: Path) -> str:
    """16 hex digits that are known before the run ends and stay the same however often it is mirrored: the digest of
    its name, which holds the start of the run's own hash."""
    return hashlib.sha256(run_name(folder).encode()).hexdigest()[:16]


def read_json(path: Path) -> dict[str, Any] | None:
    """None where the file is missing or no JSON object."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def read_config(folder: Path) -> dict[str, Any] | None:
    """The resolved config of a run; None before it is written."""
    import yaml

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        value = yaml.load((folder / "config.yaml").read_text(encoding="utf-8"), loader)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return value if isinstance(value, dict) else None


def write_marker(folder: Path, marker: dict[str, Any]) -> None:
    """What wandb has of this run: the whole file or the one before it."""
    temporary = folder / f".{MARKER}.{os.getpid()}.tmp"
    try:
        temporary.write_text(json.dumps(marker, indent=1))
        os.replace(temporary, folder / MARKER)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_marker(folder: Path) -> dict[str, Any]:
    return read_json(folder / MARKER) or {}


def digest(path: Path) -> str | None:
    """Tells one record.json from another: a failed run that was run again has a new one."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return None


def is_mirrored(folder: Path, *, online: bool, project: str | None = None, entity: str | None = None) -> bool:
    """Whether wandb has the whole run as it ended. A mirror that is online serves where an offline one is asked for,
    and so does an offline one that was uploaded with `wandb sync`, which leaves a file beside it."""
    marker = read_marker(folder)
    if not marker.get("done") or marker.get("record") != digest(folder / "record.json"):
        return False
    if project not in (None, marker.get("project")) or entity not in (None, marker.get("entity")):
        return False
    return not online or marker.get("mode") == "online" or was_uploaded(marker)


def was_uploaded(marker: dict[str, Any]) -> bool:
    return bool(marker.get("directory")) and any(Path(marker["directory"]).glob("*.wandb.synced"))


class Rows:
    """The whole rows of metrics.jsonl as far as they are written. A resumed run cuts the file back to its checkpoint
    and writes the same rows again, so the file is read anew wherever it is no longer the one that was read."""

    def __init__(self, folder: Path):
        self.path = folder / "metrics.jsonl"
        self.file = 0  # inode
        self.offset = 0
        self.rows: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        try:
            with open(self.path, "rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self.file or found.st_size < self.offset:
                    self.file, self.offset, self.rows = found.st_ino, 0, []
                file.seek(self.offset)
                text = file.read()
        except FileNotFoundError:
            return self.rows
        whole = text[: text.rfind(b"\n") + 1]  # the last line may be half written, or torn by a kill
        self.offset += len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict):
                    self.rows.append(row)
        return self.rows


class FolderLock:
    """One mirror at a time for each run: a lock on the folder itself, which goes with the process that holds it and
    leaves no file behind."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.handle: int | None = None

    def acquire(self) -> bool:
        if self.handle is not None:
            return True
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError:
            pass  # a file system that locks no folders: two mirrors of one run are then the user's to avoid
        self.handle = handle
        return True

    def release(self) -> None:
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None
