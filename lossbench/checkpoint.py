"""Checkpoints that are whole or not there: temporary file, fsync, rename, and a SHA-256 beside each.

``torch.load`` reads a file with flipped bits without complaint, so the digest is compared before anything is read. A
damaged checkpoint is reported and the one before it is used.
"""

import hashlib
import io
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from lossbench.errors import UsageError

NAME = re.compile(r"checkpoint-(\d+)\.pt")


def write_atomically(path: Path, content: bytes, durable: bool = True) -> None:
    """Either the old content or the new one is at ``path``, whenever this process is killed, and where it is to be
    durable whenever the power goes: waiting for the disk takes as long as a short run."""
    _write_all({path: content}, durable)


def _write_all(contents: Mapping[Path, bytes], durable: bool) -> None:
    """As above, and no file is touched before all of them are written: the disk may be full."""
    temporaries = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in contents}
    try:
        for path, content in contents.items():
            with open(temporaries[path], "wb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
        for path, temporary in temporaries.items():
            os.replace(temporary, path)
    except BaseException:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
        raise


def save(folder: Path, step: int, payload: dict[str, Any], keep: int = 2) -> Path:
    """Write the checkpoint of a step and remove all but the ``keep`` newest. The digest goes first: a checkpoint whose
    digest is missing was never completed."""
    path = write(folder / f"checkpoint-{step:09d}.pt", payload)
    for old in checkpoints(folder)[:-keep]:
        remove(old)
    return path


def write(path: Path, payload: dict[str, Any], durable: bool = True) -> Path:
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    content = buffer.getvalue()
    _write_all({digest_path(path): hashlib.sha256(content).hexdigest().encode(), path: content}, durable)
    return path


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The payload of a file whose digest fits. Raises ValueError for a damaged one."""
    content = path.read_bytes()
    try:
        expected = digest_path(path).read_text()
    except OSError:
        raise ValueError(f"{path}: its digest {digest_path(path).name} is missing") from None
    if hashlib.sha256(content).hexdigest() != expected:
        raise ValueError(f"{path}: damaged, its SHA-256 does not fit")
    return torch.load(io.BytesIO(content), map_location=device, weights_only=True)


def latest(
    folder: Path, run: str, report: Callable[[str], None], device: torch.device | str = "cpu"
) -> dict[str, Any] | None:
    """The newest sound checkpoint of a folder, None where there is none.

    Damaged ones are reported, passed over and removed: they would count among those that ``save`` keeps.
    Raises UsageError for a checkpoint that another config wrote.
    """
    found = checkpoints(folder)
    while found:
        path = found.pop()
        try:
            payload = read(path, device)
        except (ValueError, OSError) as error:
            report(f"damaged checkpoint: {error}; " + ("using the one before it" if found else "starting anew"))
            remove(path)
            continue
        if payload["run"] != run:
            raise UsageError(
                f"{path} belongs to run {payload['run']}, not to {run}: its config is another one. "
                "Remove the folder, or choose another one with outputs=..."
            )
        return payload
    return None


def checkpoints(folder: Path) -> list[Path]:
    """From the oldest to the newest."""
    found = {path: NAME.fullmatch(path.name) for path in folder.glob("checkpoint-*.pt")}
    return sorted((path for path in found if found[path]), key=lambda path: int(found[path][1]))  # type: ignore[index]


def keep(folder: Path, step: int, payload: dict[str, Any]) -> Path:
    """A checkpoint that stays when the run has ended, for runs that go on from it."""
    return write(folder / f"kept-{step:09d}.pt", payload)


def kept(folder: Path) -> list[Path]:
    """From the oldest to the newest."""
    return sorted(folder.glob("kept-*.pt"), key=step_of)


def step_of(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def remove_torn(folder: Path) -> None:
    """What writes that were killed have left: temporary files, digests without their file."""
    for path in (*folder.glob(".*.tmp"), *folder.glob("*.sha256")):
        if path.suffix == ".tmp" or not path.with_suffix("").exists():
            path.unlink(missing_ok=True)


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    digest_path(path).unlink(missing_ok=True)


def digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
