"""Checkpoints: whole or not there, and never believed when they are damaged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lossbench import checkpoint
from lossbench.errors import UsageError


def payload(step: int, run: str = "a", size: int = 1000) -> dict:
    return {"run": run, "step": step, "weights": torch.full((size,), float(step)), "nested": {"list": [1, "two", None]}}


def steps(folder: Path) -> list[int]:
    return [int(checkpoint.NAME.fullmatch(path.name)[1]) for path in checkpoint.checkpoints(folder)]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_round_trip(tmp_path):
    path = checkpoint.save(tmp_path, 7, payload(7))
    found = checkpoint.latest(tmp_path, "a", pytest.fail)
    assert torch.equal(found["weights"], payload(7)["weights"])
    assert path.name == "checkpoint-000000007.pt"
    assert found["nested"] == {"list": [1, "two", None]} and found["step"] == 7
    assert names(tmp_path) == {"checkpoint-000000007.pt", "checkpoint-000000007.pt.sha256"}


def test_nothing_there(tmp_path):
    assert checkpoint.latest(tmp_path, "a", pytest.fail) is None


def test_two_newest_are_kept_by_their_steps(tmp_path):
    """10 comes after 9, although "10" comes before "9"."""
    for step in (8, 9, 10, 100, 99):
        checkpoint.save(tmp_path, step, payload(step))
    assert steps(tmp_path) == [99, 100]
    assert len(names(tmp_path)) == 4  # no digest is left alone
    for step in (999_999_999, 1_000_000_000):
        checkpoint.save(tmp_path, step, payload(step))
    assert steps(tmp_path) == [999_999_999, 1_000_000_000]


def test_keep(tmp_path):
    for step in range(5):
        checkpoint.save(tmp_path, step, payload(step), keep=3)
    assert steps(tmp_path) == [2, 3, 4]


# --- failures in the middle of a write ---------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2])
def test_failure_while_writing_leaves_the_old_file(function, call, tmp_path, monkeypatch):
    """A full disk or an interrupt at each of the points: the old checkpoint is read, no temporary file stays."""
    path = tmp_path / "weights.pt"
    checkpoint.write(path, payload(1))
    real, calls = getattr(os, function), 0

    def failing(*arguments):
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, function, failing)
    with pytest.raises(OSError, match="No space"):
        checkpoint.write(path, payload(2))
    monkeypatch.undo()
    assert names(tmp_path) == {"weights.pt", "weights.pt.sha256"}
    if (function, call) != ("replace", 2):  # between the two renames the digest is the new one: noticed, not believed
        assert checkpoint.read(path)["step"] == 1
    else:
        with pytest.raises(ValueError, match="damaged"):
            checkpoint.read(path)


def test_failure_at_a_new_step_leaves_the_ones_before(tmp_path, monkeypatch):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, payload(step))
    before = names(tmp_path)
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, 3, payload(3))
    assert names(tmp_path) == before and checkpoint.latest(tmp_path, "a", pytest.fail)["step"] == 2


def test_killed_while_writing(tmp_path):
    """A real process that dies inside fsync, with half of its work done."""
    code = (
        "import os, torch\nfrom pathlib import Path\nfrom lossbench import checkpoint\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "for step in range(1, 100):\n"
        "    if step == 4:\n"
        "        os.fsync = lambda file: os.kill(os.getpid(), 9)\n"
        "    checkpoint.save(folder, step, {'run': 'a', 'step': step, 'weights': torch.zeros(10)})\n"
    )
    root = str(Path(checkpoint.__file__).parent.parent)
    process = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, timeout=60)
    assert process.returncode == -9
    assert any(name.endswith(".tmp") for name in names(tmp_path))
    assert checkpoint.latest(tmp_path, "a", pytest.fail)["step"] == 3
    checkpoint.remove_torn(tmp_path)
    assert not any(name.endswith(".tmp") for name in names(tmp_path)) and steps(tmp_path) == [2, 3]


def test_remove_torn_leaves_what_is_whole(tmp_path):
    checkpoint.save(tmp_path, 1, payload(1))
    checkpoint.write(tmp_path / "weights.pt", payload(1))
    (tmp_path / "metrics.jsonl").write_text("{}")
    (tmp_path / "checkpoint-000000002.pt.sha256").write_text("0")
    before = names(tmp_path)
    checkpoint.remove_torn(tmp_path)
    assert names(tmp_path) == before - {"checkpoint-000000002.pt.sha256"}


def test_write_atomically_replaces_and_creates(tmp_path):
    path = tmp_path / "file"
    for content in (b"one", b"two, longer", b""):
        checkpoint.write_atomically(path, content)
        assert path.read_bytes() == content and names(tmp_path) == {"file"}


# --- damage ------------------------------------------------------------------------------------------------------


def test_every_flipped_bit_is_noticed(tmp_path):
    """One bit, anywhere: torch.load alone takes most of these files, with other weights."""
    path = checkpoint.save(tmp_path, 1, payload(1, size=50))
    content = path.read_bytes()
    for position in range(0, len(content), 97):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        with pytest.raises(ValueError, match="damaged"):
            checkpoint.read(path)
    path.write_bytes(content)
    assert checkpoint.read(path)["step"] == 1


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_truncation_is_noticed(kept, tmp_path):
    path = checkpoint.save(tmp_path, 1, payload(1))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="damaged"):
        checkpoint.read(path)


def test_missing_or_damaged_digest(tmp_path):
    path = checkpoint.save(tmp_path, 1, payload(1))
    digest = checkpoint.digest_path(path)
    text = digest.read_text()
    assert len(text) == 64
    digest.write_text(("1" if text[0] == "0" else "0") + text[1:])
    with pytest.raises(ValueError, match="damaged"):
        checkpoint.read(path)
    digest.unlink()
    with pytest.raises(ValueError, match=r"digest .*sha256 is missing"):
        checkpoint.read(path)


def test_falls_back_with_a_report_for_each(tmp_path):
    for step in (1, 2, 3):
        path = checkpoint.save(tmp_path, step, payload(step), keep=3)
        if step > 1:
            path.write_bytes(path.read_bytes()[:-1])
    reports: list[str] = []
    assert checkpoint.latest(tmp_path, "a", reports.append)["step"] == 1
    assert ["checkpoint-000000003" in reports[0], "checkpoint-000000002" in reports[1], len(reports)] == [True, True, 2]
    assert all("the one before" in text for text in reports)


def test_damaged_ones_do_not_count_among_the_kept(tmp_path):
    """After falling back from 20 to 10 and saving 15, both 10 and 15 are there to fall back to."""
    for step in (10, 20):
        path = checkpoint.save(tmp_path, step, payload(step))
    path.write_bytes(b"nothing")
    checkpoint.latest(tmp_path, "a", lambda text: None)
    checkpoint.save(tmp_path, 15, payload(15))
    assert steps(tmp_path) == [10, 15]
    checkpoint.save(tmp_path, 16, payload(16)).write_bytes(b"nothing")
    assert checkpoint.latest(tmp_path, "a", lambda text: None)["step"] == 15


def test_all_damaged(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, payload(step)).write_bytes(b"")
    reports: list[str] = []
    assert checkpoint.latest(tmp_path, "a", reports.append) is None
    assert len(reports) == 2 and "anew" in reports[1]


def test_another_configs_checkpoint_is_refused(tmp_path):
    """And stays: it may be worth something to its owner."""
    checkpoint.save(tmp_path, 1, payload(1, run="a"))
    with pytest.raises(UsageError, match="belongs to run a, not to b: its config is another one"):
        checkpoint.latest(tmp_path, "b", pytest.fail)
    assert steps(tmp_path) == [1]


def test_no_code_is_run_by_loading(tmp_path):
    """A pickle that would, is refused."""
    path = tmp_path / "checkpoint-000000001.pt"
    checkpoint.write(path, {"run": "a", "evil": Evil()})
    with pytest.raises(Exception, match=r"[Ww]eights"):
        checkpoint.read(path)
    assert not (tmp_path / "evil").exists()


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("evil",))
