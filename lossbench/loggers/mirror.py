"""The training side of the wandb mirror: starts its process, names folders to it, and never waits or raises.

mirror = Mirror.start([prepared.folder], config["logger"]["wandb"])
...                                    # train; in a sweep, mirror.add(folder) for each run that starts
print(mirror.close(timeout=5))
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lossbench.loggers.run_files import read_marker
from lossbench.loggers.wandb_mirror import WARNING


def wandb(
    *,
    project: str,
    entity: str | None,
    mode: Literal["auto", "online", "offline"],
    group: str | None,
    tags: Sequence[str],
    directory: str,
) -> None:
    """The keys of ``logger.wandb`` in the config, and their types."""


class Mirror:
    """The mirror's process, as the one who trains holds it. Whatever goes wrong with it ends up in a warning."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.folders: list[Path] = []
        self.process: subprocess.Popen | None = None
        self.log: Path | None = None
        self.unsent = b""
        self.trouble: str | None = None

    @classmethod
    def start(
        cls, folders: Sequence[Path], logger_config: Mapping[str, Any], *, poll: float = 0.5, patience: float = 30.0
    ) -> "Mirror":
        """Start the process. It has a session of its own, so that Ctrl-C reaches the training alone.

        It looks every ``poll`` seconds; ``patience``: so long may a run be silent after its parent was killed.
        """
        mirror = cls(Path(logger_config["directory"]).absolute())
        command = [sys.executable, "-m", "lossbench.loggers.wandb_mirror", "--listen", f"--parent={os.getpid()}"]
        command += [f"--{key}={logger_config[key]}" for key in ("project", "mode", "entity", "group")
                    if logger_config.get(key) is not None]  # fmt: skip
        command += [f"--tag={tag}" for tag in logger_config.get("tags") or ()]
        command += [f"--directory={mirror.directory}", f"--poll={poll}", f"--patience={patience}"]
        try:
            logs = mirror.directory / "wandb"
            logs.mkdir(parents=True, exist_ok=True)
            mirror.log = logs / f"mirror-{time.strftime('%Y%m%d_%H%M%S')}-{os.getpid()}.log"
            with open(mirror.log, "ab") as log:
                mirror.process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
                )
            assert mirror.process.stdin is not None
            os.set_blocking(mirror.process.stdin.fileno(), False)  # a mirror that hangs must not make us wait
        except OSError as error:
            mirror.trouble = f"{error.strerror}: {error.filename}"
        for folder in folders:
            mirror.add(folder)
        return mirror

    def add(self, folder: Path) -> None:
        """Follow one more run; to be called when it starts, or before."""
        self.folders.append(Path(folder).absolute())
        self._send({"add": str(self.folders[-1])})

    def _send(self, message: Mapping[str, Any]) -> None:
        self.unsent += json.dumps(message).encode() + b"\n"
        if self.process is None or self.process.stdin is None:
            return
        try:
            while self.unsent:
                self.unsent = self.unsent[os.write(self.process.stdin.fileno(), self.unsent) :]
        except BlockingIOError:
            pass  # the pipe is full; what is left goes with the next message
        except OSError:
            self.unsent = b""  # it has ended; close() tells

    def close(self, timeout: float = 5.0) -> str:
        """Say that no training is left, wait so long, and return one line for the user. What is not done by then goes
        on in the background."""
        try:
            return self._close(timeout)
        except Exception as error:
            return f"wandb: warning: {type(error).__name__}: {error}; the runs' own files are complete"

    def _close(self, timeout: float) -> str:
        if self.process is None:
            return f"wandb: warning: the mirror did not start: {self.trouble}; `lossbench sync` pushes later"
        self._send({"end": True})
        deadline = time.monotonic() + timeout
        while self.unsent and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
            self._send({"end": True})  # saying so twice does no harm
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            code = self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return f"wandb: still being written in the background; warnings go to {self.log}"
        if code:
            return f"wandb: warning: {self._last_words() or f'the mirror ended with exit code {code}'}"
        if self.log is not None:
            self.log.unlink(missing_ok=True)
        return describe([read_marker(folder) for folder in self.folders], self.directory)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log is not None else []
        return next((line for line in reversed(lines) if line.startswith(WARNING)), "")


@contextlib.contextmanager
def mirrored(
    folders: Sequence[Path], logger_config: Mapping[str, Any] | None, say: Callable[[str], None]
) -> Iterator[Mirror | None]:
    """Within, the folders are mirrored; at the end one line is said. Nothing at all where the config is None."""
    if logger_config is None:
        yield None
        return
    mirror = Mirror.start(folders, logger_config)
    try:
        yield mirror
    finally:
        say(mirror.close())


def describe(markers: Sequence[Mapping[str, Any]], directory: Path) -> str:
    """Where wandb has these runs, in one line."""
    found = [marker for marker in markers if marker.get("id")]
    offline = [marker for marker in found if marker["mode"] == "offline"]
    if not found:
        return "wandb: nothing to mirror"
    if len(found) == 1:
        marker = found[0]
        if offline:
            return f"wandb: offline run in {marker['directory']}; after `wandb login`, `lossbench sync` uploads it"
        return f"wandb: {marker['url']}"
    if not offline:
        return f"wandb: {len(found)} runs at {str(found[0]['url']).rpartition('/runs/')[0]}"
    where = f"{len(offline)} offline runs in {directory / 'wandb'}"
    return f"wandb: {where}; after `wandb login`, `lossbench sync` uploads them"
