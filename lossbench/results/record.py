"""What a run writes into its folder: config.yaml, metrics.jsonl (a row per evaluation), record.json (last)."""

import json
import math
import platform
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch

import lossbench
from lossbench.checkpoint import write_atomically

SCHEMA = 1
FINISHED = ("completed", "diverged")  # running these again would give the same


def write(folder: Path, record: dict[str, Any]) -> None:
    """The last thing a run does: a folder with a record.json is a run that ended."""
    write_atomically(folder / "record.json", json.dumps(finite(record), indent=1, allow_nan=False).encode())


def read(folder: Path) -> dict[str, Any] | None:
    """The record of a run's folder; None where the run has not ended, or its record is damaged."""
    try:
        found = json.loads((folder / "record.json").read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "status" in found else None


def finite(value: Any) -> Any:
    """NaN and infinities, which JSON does not have, as None."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Metrics:
    """metrics.jsonl: append-only while a run trains; on resume the rows after the checkpoint are cut off first."""

    def __init__(self, folder: Path, keep_until_step: int | None):
        self.path = folder / "metrics.jsonl"
        kept = rows(folder) if keep_until_step is not None else []
        text = "".join(_line(row) for row in kept if row["step"] <= (keep_until_step or 0) and not _is_test(row))
        write_atomically(self.path, text.encode(), durable=False)

    def append(self, row: dict[str, Any]) -> None:
        append(self.path.parent, row)


def copy_rows(source: Path, folder: Path, until_step: int) -> None:
    """The evaluations of another run up to a step, as the beginning of this one's."""
    text = "".join(_line(row) for row in rows(source) if row["step"] <= until_step and not _is_test(row))
    write_atomically(folder / "metrics.jsonl", text.encode(), durable=False)


def append(folder: Path, row: dict[str, Any]) -> None:
    """One more row of metrics.jsonl."""
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(_line(row))


def _is_test(row: dict[str, Any]) -> bool:
    """The row of the test metrics is a run's last one, whatever step it is about."""
    return any(key.startswith("test/") for key in row)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(finite(row), allow_nan=False) + "\n"


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl; a last line that a kill tore is left out."""
    found = []
    try:
        text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return found


@cache
def commit() -> str | None:
    """The commit of the source tree that lossbench runs from, '+' appended where it was changed; None in a wheel."""
    root = Path(lossbench.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        git = ["git", "-C", str(root)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def environment(device: torch.device) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "lossbench": lossbench.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "commit": commit(),
        "platform": platform.platform(),
        "processor": _processor(),
        "gpu": gpu,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "hostname": socket.gethostname(),
    }


@cache
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_memory(device: torch.device) -> int | None:
    """Bytes: of the device's allocator on CUDA, of the whole process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Energy:
    """Joules since it was made, where the hardware tells: NVIDIA's counter of the device, or the processor's RAPL
    counter. Both count everything that ran there, not this run alone."""

    def __init__(self, device: torch.device):
        self.device = device
        self.start = self._read()

    def _read(self) -> float | None:
        if self.device.type == "cuda":
            try:
                import pynvml

                pynvml.nvmlInit()
                properties = torch.cuda.get_device_properties(self.device)
                handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{properties.uuid}")
                return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
            except Exception:  # a missing package, driver or permission: there is simply no number
                return None
        try:
            zones = Path("/sys/class/powercap").glob("intel-rapl:?")
            readings = [int((zone / "energy_uj").read_text()) for zone in zones]
        except OSError:
            return None
        return sum(readings) / 1e6 if readings else None

    def joules(self) -> float | None:
        now = self._read()
        # The processor's counter wraps around; a negative difference is no measurement.
        return None if now is None or self.start is None or now < self.start else now - self.start
