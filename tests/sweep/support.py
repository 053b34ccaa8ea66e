"""What the tests of real sweeps share: losses that misbehave, commands, and a look at the process table."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from lossbench import checkpoint, cli

# A module and configs of a user, found through the Python path and --config-dir.
LOSSES = '''
import os, signal, sys, time
from pathlib import Path
from torch.nn.functional import cross_entropy


def _plain(logits, targets):
    return cross_entropy(logits, targets, reduction="none")


def misbehaving(logits, targets, *, kind: int = 0):
    """Kind 3 fails, 7 diverges, 11 crashes, 13 hangs; unless HARMLESS is set."""
    print("noise of a worker", file=sys.stderr)
    if kind and os.environ.get("HARMLESS") is None:
        if kind == 3:
            raise ValueError("kind 3 cannot be had\\nmore of it")
        if kind == 7:
            return _plain(logits, targets) * float("nan")
        if kind == 11:
            print("last words", flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
        if kind == 13:
            while True:
                time.sleep(60)
    return _plain(logits, targets)


def slow(logits, targets, *, seconds: float = 0.02):
    time.sleep(seconds)
    return _plain(logits, targets)


calls = 0


def dies_once(logits, targets, *, after: int = 5):
    """SIGKILL in the call after so many, once for the file named in MARKER."""
    global calls
    calls += 1
    marker = Path(os.environ["MARKER"])
    if calls > after and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _plain(logits, targets)


def edits_its_config(logits, targets, *, weight: float = 1.0):
    """Writes another weight into its own YAML."""
    path = Path(os.environ["CONFIG"])
    edited = path.with_name(f"{os.getpid()}.edited")  # two workers edit it at once: each sees a whole file
    edited.write_text(path.read_text().replace("weight: 1.0", "weight: 9.0"))
    os.replace(edited, path)
    return weight * _plain(logits, targets)


def counts(logits, targets):
    """Leaves a line for every process that begins to train with it."""
    global calls
    calls += 1
    if calls == 1:
        with open(os.environ["COUNT"], "a") as file:
            file.write(f"{os.getpid()}\\n")
    time.sleep(0.02)
    return _plain(logits, targets)
'''
KEYS = {"misbehaving": "kind: 0", "slow": "seconds: 0.02", "dies_once": "after: 5", "edits_its_config": "weight: 1.0",
        "counts": ""}  # fmt: skip

SMALL = ("model=linear", "batch_size=256", "checkpoint.seconds=null")


def write_losses(folder: Path) -> Path:
    """The module and its configs; returns the folder for --config-dir, which must be on the Python path too."""
    (folder / "loss").mkdir(parents=True)
    (folder / "losses_of_a_user.py").write_text(LOSSES)
    for name, keys in KEYS.items():
        text = f"_target_: losses_of_a_user.{name}\n_partial_: true\n{keys}\n"
        (folder / "loss" / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture
def user(tmp_path, monkeypatch) -> Path:
    folder = write_losses(tmp_path / "user")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop("losses_of_a_user", None)


def sweep(user: Path, outputs: Path, *arguments: str) -> int:
    """`lossbench train -m` in this process; returns the exit code."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "-m", f"--config-dir={user}", *SMALL, f"outputs={outputs}", *arguments])
    return caught.value.code


def records(outputs: Path) -> list[dict]:
    return [json.loads(path.read_bytes()) for path in sorted((outputs / "runs").rglob("record.json"))]


def stamps(outputs: Path, status: str = "completed") -> dict[str, tuple]:
    """{run: what changes when its record is written again}."""
    found = {}
    for path in (outputs / "runs").rglob("record.json"):
        with contextlib.suppress(FileNotFoundError):
            record, stat = json.loads(path.read_bytes()), path.stat()
            if record["status"] == status:
                found[record["run"]] = (stat.st_ino, stat.st_mtime_ns)
    return found


def results(outputs: Path) -> dict[str, tuple]:
    """{run: (status, best, rows without times, weights)}, for comparing two sweeps."""
    found = {}
    for record in records(outputs):
        folder = outputs / "runs" / record["folder"]
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
        best = {key: value for key, value in record["best"].items() if key != "seconds"}
        weights = checkpoint.read(folder / "weights.pt")["model"] if (folder / "weights.pt").exists() else {}
        found[record["run"]] = (record["status"], best, rows, weights)
    return found


def same_results(first: dict[str, tuple], second: dict[str, tuple]) -> bool:
    """Metrics and weights bit for bit."""
    if first.keys() != second.keys():
        return False
    for run, (*told, weights) in first.items():
        *told_again, weights_again = second[run]
        if told != told_again or weights.keys() != weights_again.keys():
            return False
        if not all(torch.equal(value, weights_again[key]) for key, value in weights.items()):
            return False
    return True


class Command:
    """`lossbench` as a process of its own, and all the processes that come from it."""

    def __init__(self, *arguments: str, python_path: Path, mark: str, **environment: str):
        self.mark = mark
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lossbench.cli", *arguments],
            env={**os.environ, "PYTHONPATH": str(python_path), "LOSSBENCH_TEST": mark, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def family(self) -> list[int]:
        """Every process that lives and was started by this command, at whatever distance."""
        return family(self.mark)

    def workers(self) -> list[int]:
        """Processes whose parent is the server."""
        mine = self.family()
        parents = {pid: _parent(pid) for pid in mine}
        servers = [pid for pid in mine if parents[pid] == self.process.pid]
        return [pid for pid in mine if parents[pid] in servers]

    def wait(self, seconds: float = 120) -> tuple[int, str]:
        try:
            out, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            out, _ = self.process.communicate()
            raise AssertionError(f"it did not end within {seconds} s:\n{out}") from None
        return self.process.returncode, out


def train(user: Path, outputs: Path, *arguments: str, mark: str, **environment: str) -> Command:
    sweep = ["train", "-m", f"--config-dir={user}", *SMALL, f"outputs={outputs}", *arguments]
    return Command(*sweep, python_path=user, mark=mark, **environment)


def family(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"LOSSBENCH_TEST={mark}\0".encode() in (entry / "environ").read_bytes() and not _zombie(entry):
                    found.append(int(entry.name))
    return found


def _zombie(entry: Path) -> bool:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def until(condition, seconds: float = 60.0) -> float:
    """Wait for it; returns how long that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.01)
    return time.monotonic() - began


def dedent(text: str) -> str:
    return textwrap.dedent(text).strip()
