"""Every speed target as a row: `make bench`, or `python -m benchmarks [--quick] [--only NAME] [--json FILE]`.

Says what was measured, whether the target is met and, where it is not, what takes the time; the exit code is 0 either
way.
"""

import argparse
import datetime
import fnmatch
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch; one thread everywhere

from benchmarks import collecting, memory, stacked, start_up, sweeps, training_step, vocabulary, where
from benchmarks.measure import Row
from lossbench.display import say
from lossbench.results.tables import Table, show

NOT_BUILT: list[Row] = []


@dataclass(frozen=True)
class Benchmark:
    """names    of the rows that it gives
    measure  (an empty folder, whether to be quick) -> the rows"""

    names: Sequence[str]
    measure: Callable[[Path, bool], Sequence[Row]]


BENCHMARKS = [
    Benchmark(["step_digits"], lambda f, q: [training_step.training_step("digits", f, blocks=1 if q else 30)]),
    Benchmark(
        ["step_digits_one_group"],
        lambda f, q: [training_step.training_step("digits", f, blocks=1 if q else 30, groups=1)],
    ),
    Benchmark(["step_images"], lambda f, q: [training_step.training_step("images", f, blocks=1 if q else 30)]),
    Benchmark(["step_gpt"], lambda f, q: [training_step.training_step("gpt", f, blocks=1 if q else 20)]),
    Benchmark(["start_help"], lambda f, q: [start_up.help_text(1 if q else 11)]),
    Benchmark(["start_train"], lambda f, q: [start_up.one_step(f, 1 if q else 7)]),
    Benchmark(
        ["sweep_run", "sweep_run_hydra_basic"],
        lambda f, q: sweeps.sweep_runs(
            f, turns=1 if q else 3, runs=2 if q else 200, few=0 if q else 8, hydra_runs=2 if q else 24
        ),
    ),
    Benchmark(["plan"], lambda f, q: [sweeps.plan(f, turns=1 if q else 3, runs=100 if q else 10_000)]),
    Benchmark(
        ["collect"], lambda f, q: [collecting.collect_records(f, turns=1 if q else 5, records=100 if q else 10_000)]
    ),
    *(
        Benchmark(
            [f"vectorized_{name}{device}"],
            lambda f, q, name=name, device=device, target=target: [  # type: ignore[misc]
                stacked.vectorized(name, device, f, target=target, turns=1 if q else 3, quick=q)
            ],
        )
        for name, device, target in (
            ("", "cpu", 3.5),
            ("losses_", "cpu", 3.5),
            ("", "cuda", 20),
            ("convnet_", "cuda", 20),
            ("resnet_", "cuda", None),
        )
    ),
    Benchmark(
        ["memory_contrastive"],
        lambda f, q: [
            memory.contrastive(sizes=(512, 1024) if q else (1024, 4096, 16384, 65536), tile=128 if q else 1024)
        ],
    ),
    Benchmark(
        ["memory_vocabulary"],
        lambda f, q: [
            vocabulary.vocabulary(
                sizes=(8192, 16384) if q else (1024, 4096, 16384, 65536, 262144), tokens=512 if q else 16384
            )
        ],
    ),
    *(Benchmark([row.name], lambda f, q, row=row: [row]) for row in NOT_BUILT),  # type: ignore[misc]
]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only see that every row runs; the figures mean nothing")
    parser.add_argument("--only", metavar="NAME", help="only the rows of this name; * stands for anything")
    parser.add_argument("--profile", action="store_true", help="say of every row what takes the time, met or not")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write everything that was measured")
    options = parser.parse_args(arguments)
    chosen = [b for b in BENCHMARKS if any(fnmatch.fnmatch(name, options.only or "*") for name in b.names)]
    if not chosen:
        names = ", ".join(name for benchmark in BENCHMARKS for name in benchmark.names)
        parser.error(f"--only {options.only}: there is no such row. There are: {names}.")
    load = os.getloadavg()[0]
    say(f"{machine()['processor']}, {os.cpu_count()} cores, load {load:.1f} before the start; one thread")
    rows: list[Row] = []
    for benchmark in chosen:
        print(f"measuring {', '.join(benchmark.names)}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            rows += benchmark.measure(Path(folder), options.quick)
    show(table(rows))
    say("value: median over turns, in time of the processor unless said; quartiles of the turns beside it")
    missed = [row.name for row in rows if row.verdict == "MISSED"]
    say(f"missed: {', '.join(missed)}" if missed else "no target was missed")
    profiles = {}
    for row in rows:
        if row.name in where.PROFILES and (row.verdict == "MISSED" or options.profile):
            with tempfile.TemporaryDirectory() as folder:
                profiles[row.name] = where.PROFILES[row.name](Path(folder), options.quick)
            say(f"{row.name}: {profiles[row.name]}")
    if options.quick:
        say("--quick: nothing was measured long enough to mean anything")
    if options.json:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        found = [
            {**asdict(row), "target": row.target, "verdict": row.verdict, "profile": profiles.get(row.name)}
            for row in rows
        ]
        content = {"time": now, "quick": options.quick, "load": load, "machine": machine(), "rows": found}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def machine() -> dict[str, object]:
    """Hardware and versions."""
    from importlib.metadata import version

    import torch

    from lossbench.results.record import environment

    own = environment(torch.device("cpu"))
    versions = {name: version(name) for name in ("hydra-core", "omegaconf", "numpy")}
    return {**own, **versions, "cores": os.cpu_count(), "machine": platform.machine()}


def table(rows: Sequence[Row]) -> Table:
    columns = ["row", "what", "value", "quartiles", "unit", "target", "", "note"]
    return Table(columns, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    def text(value: float | None) -> str:
        return "-" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"

    quartiles = "-" if row.value is None else f"{text(row.low)} to {text(row.high)}"
    return [row.name, row.what, text(row.value), quartiles, row.unit, row.target, row.verdict, row.note]


if __name__ == "__main__":
    sys.exit(main())
