"""That every row of `make bench` runs and that what is printed is what was measured; not how fast anything is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as benchmarks
from benchmarks import where
from benchmarks.measure import Row, Seconds, by_turns, spread

ROOT = Path(__file__).parents[1]


def test_every_row_runs(tmp_path):
    file = tmp_path / "new" / "figures.json"
    quick = [sys.executable, "-m", "benchmarks", "--quick", "--profile", "--json", str(file)]
    done = subprocess.run(quick, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == [name for benchmark in benchmarks.BENCHMARKS for name in benchmark.names]
    assert all(name in done.stdout for name in rows)
    waiting = {row.name for row in benchmarks.NOT_BUILT}
    assert {name for name, row in rows.items() if row["verdict"] == "not built yet"} == waiting
    if not torch.cuda.is_available():
        on_cuda = {name for name in rows if name.endswith("_cuda")}
        assert {rows[name]["verdict"] for name in on_cuda} == {"needs CUDA: no GPU here"}
        waiting |= on_cuda
    assert {name for name, row in rows.items() if row["value"] is None} == waiting
    assert all(rows[name]["value"] > 0 for name in rows.keys() - waiting)
    # The two sides of a ratio did the same work: after hundreds of steps not one bit of the weights differs.
    for name in ("step_digits", "step_images"):
        assert rows[name]["details"]["weights_apart"] == 0 and rows[name]["details"]["steps"] > 500
    assert rows["step_digits_one_group"]["details"]["weights_apart"] > 0
    # What takes the time, of every row that can say so; the parts of a profile are of what the row is about.
    assert {name for name, row in rows.items() if row["profile"]} == set(where.PROFILES)
    for name, parts in {
        "step_digits": ("forward", "backward", "optimizer"),
        "start_train": ("torch", "lossbench", "hydra"),
        "sweep_run": ("building", "evaluation", "a process of its own"),
        "collect": ("reading and parsing", "rows"),
        "vectorized_cpu": ("forward and loss", "backward", "optimizer", "evaluation"),
    }.items():
        assert all(part in rows[name]["profile"] for part in parts), rows[name]["profile"]
    assert found["quick"] and {"torch", "python", "processor", "cores"} <= found["machine"].keys()


def test_a_missed_target_is_marked_and_no_failure(monkeypatch, capsys):
    rows = [
        Row("fast", "", value=1.05, low=1.0, high=1.1, most=1.1),
        Row("collect", "", value=1.2, low=1.1, high=1.3, most=1.1),
        Row("little", "", value=3.0, low=3.0, high=3.0, least=3.5),
        Row("compared", "", value=9.0, low=9.0, high=9.0),
    ]
    monkeypatch.setattr(benchmarks, "BENCHMARKS", [benchmarks.Benchmark([r.name for r in rows], lambda f, q: rows)])
    monkeypatch.setattr(
        where, "PROFILES", {"fast": lambda f, q: "not asked", "collect": lambda f, q: "the disk, mostly"}
    )
    assert benchmarks.main([]) == 0
    printed = capsys.readouterr().out
    assert [row.verdict for row in rows] == ["met", "MISSED", "MISSED", ""]
    assert "missed: collect, little" in printed and "<= 1.1" in printed and ">= 3.5" in printed
    assert "collect: the disk, mostly" in printed and "not asked" not in printed


def test_only(capsys):
    assert benchmarks.main(["--quick", "--only", "memory_*"]) == 0
    printed = capsys.readouterr().out
    assert "memory_vocabulary" in printed and "step_digits" not in printed
    with pytest.raises(SystemExit) as end:
        benchmarks.main(["--only", "memori"])
    assert end.value.code == 2


def test_turns():
    seen = []
    results = by_turns(lambda: seen.append("a") or len(seen), lambda: seen.append("b") or len(seen), turns=3)
    assert seen == ["a", "b", "b", "a", "a", "b"]  # what follows what is balanced
    assert results == [[1, 4, 5], [2, 3, 6]]


def test_spread():
    assert spread([4.0, 1.0, 2.0, 3.0, 100.0]) == {"value": 3.0, "low": 2.0, "high": 4.0}
    assert spread([7.0]) == {"value": 7.0, "low": 7.0, "high": 7.0}
    assert Seconds(3.0, 2.0) - Seconds(1.0, 0.5) == Seconds(2.0, 1.5)


BUSY = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
LEAVES_A_CHILD = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {BUSY!r}])"
MEASURED = """
import sys
from benchmarks.measure import command
print(*command(sys.executable, "-c", sys.argv[1]))
try:
    command(sys.executable, "-c", "sys.exit(3)")
except RuntimeError as error:
    assert "exit code" in str(error)
else:
    raise AssertionError("a command that fails was timed")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands on what a process leaves behind")
@pytest.mark.parametrize("code", [BUSY, LEAVES_A_CHILD], ids=["command", "its_child"])
def test_the_time_of_a_command_is_that_of_all_it_started(code):
    # In a process of its own: it waits for all children, and this one may have others.
    measured = [sys.executable, "-c", MEASURED, code]
    done = subprocess.run(measured, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    wall, processor = map(float, done.stdout.split())
    assert 0.3 <= processor < 2 and wall >= 0.3
