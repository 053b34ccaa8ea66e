"""What is shown of a sweep: a live table on a terminal that leaves nothing behind, one line a run in a pipe."""

import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from lossbench.preparing import Prepared
from lossbench.sweep.display import SweepDisplay, duration, headline

OUTPUTS = Path("/outputs")


def prepared(name):
    return Prepared({}, "0", OUTPUTS / "runs" / "data" / name, OUTPUTS)


def record(status="completed", **best):
    return {"status": status, "error": None, "best": best}


@pytest.mark.parametrize(
    "seconds, text", [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (600, "10 min"), (5400, "1.5 h"), (86400, "24.0 h")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_headline():
    assert (
        headline(record(**{"step": 3, "validation/accuracy": 0.5, "test/accuracy": 0.98765})) == "test/accuracy 0.9877"
    )
    assert headline(record()) == ""
    failed = record("failed") | {"error": {"type": "ValueError", "message": "no\nmore", "traceback": ""}}
    assert headline(failed) == "ValueError: no"
    assert headline(failed | {"error": {"type": "KeyError", "message": "", "traceback": ""}}) == "KeyError: "


def test_one_line_for_each_run_in_a_pipe(capsys):
    display = SweepDisplay(total=2, done_before=3)
    for name in ("a", "b"):
        display.started(prepared(name))
        display.progress(prepared(name), 5, 10)
        display.refresh()
    display.ended(prepared("b"), record(**{"test/accuracy": 0.5}))
    display.warn("something")
    display.ended(prepared("a"), record("diverged") | {"error": {"type": "Diverged", "message": "nan"}})
    display.close()
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "[1/2] completed data/b  test/accuracy 0.5",
        "[2/2] diverged  data/a  Diverged: nan",
    ]
    assert printed.err == "lossbench: something\n"


def test_time_left_counts_the_progress_of_running_runs(monkeypatch):
    """Two of eight done and two half done after 30 s: three in all, so the other five take 50 s."""
    display = SweepDisplay(total=8, done_before=0)
    monkeypatch.setattr(time, "monotonic", lambda: display.started_at + 30)
    assert display._left() is None
    for name in "abcd":
        display.started(prepared(name))
    for name in "ab":
        display.ended(prepared(name), record())
    for name in "cd":
        display.progress(prepared(name), 5, 10)
    assert display._left() == pytest.approx(50)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux, a terminal that can be read")
def test_a_terminal_shows_the_table_and_keeps_the_lines(tmp_path):
    session = f"lossbench-{uuid.uuid4().hex[:8]}"
    command = (
        f"cd {tmp_path}; {sys.executable} -m lossbench.cli train -m seed=0,1,2 model=linear budget.epochs=150 "
        f"outputs={tmp_path} hydra.launcher.slots=1; echo code $?; sleep 100"
    )

    def tmux(*arguments):
        return subprocess.run(["tmux", "-L", session, *arguments], capture_output=True, text=True, check=True).stdout

    tmux("new-session", "-d", "-x", "90", "-y", "30", command)
    try:
        seen, screen, deadline = set(), "", time.monotonic() + 60
        while "code" not in screen and time.monotonic() < deadline:
            screen = tmux("capture-pane", "-p")
            lines = screen.splitlines()
            seen |= {"table"} if any("/3 runs: " in line and "running" in line for line in lines) else set()
            seen |= {"progress"} if any(" %  digits/linear/cross_entropy/seed" in line for line in lines) else set()
            seen |= {"time"} if any("left" in line for line in lines) else set()
            time.sleep(0.05)
    finally:
        tmux("kill-server")
    assert seen == {"table", "progress", "time"}, screen
    left = [line for line in screen.splitlines() if line]
    assert left[-2:] == ["3 completed", "code 0"], screen
    assert [line.split()[0] for line in left if line.startswith("[")] == ["[1/3]", "[2/3]", "[3/3]"]
    assert not any("running" in line or " left" in line or " %" in line for line in left[2:]), screen
