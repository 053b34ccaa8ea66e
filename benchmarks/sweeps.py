"""What a run of a sweep costs besides its training: runs of one step each, here and through Hydra's basic launcher.

The cost of one run is the difference between a long and a short sweep over the runs that the long one has more, so
that starting the sweep, which is a row of its own, is not in it. The run's one step is in it.
"""

from itertools import count
from pathlib import Path

from benchmarks.measure import LOSSBENCH, Row, Seconds, by_turns, command, spread
from benchmarks.workloads import planned

HYDRA = ("hydra/sweeper=basic", "hydra/launcher=basic")


def sweep_runs(folder: Path, *, turns: int, runs: int, few: int, hydra_runs: int) -> list[Row]:
    """Rows for the sweep of ``runs`` runs and for Hydra's own of ``hydra_runs``; both less a sweep of ``few``
    (0: less nothing)."""
    number = count()

    def sweep(size: int, *options: str) -> Seconds:
        if size == 0:
            return Seconds(0.0, 0.0)
        outputs = folder / str(next(number))
        return command(
            LOSSBENCH, "train", "-m", "budget.steps=1", f"seed=range(0,{size})", f"outputs={outputs}", *options
        )

    one_slot = "hydra.launcher.slots=1"
    many, start, slots, basic, basic_start = by_turns(
        lambda: sweep(runs, one_slot),
        lambda: sweep(few, one_slot),
        lambda: sweep(runs),
        lambda: sweep(hydra_runs, *HYDRA),
        lambda: sweep(few, *HYDRA),
        turns=turns,
    )
    ours = [(a - b).per((runs - few) * 1e-3) for a, b in zip(many, start, strict=True)]
    theirs = [(a - b).per((hydra_runs - few) * 1e-3) for a, b in zip(basic, basic_start, strict=True)]
    whole = spread([t.wall / runs * 1e3 for t in slots])
    wall, basic_wall = (spread([t.wall for t in side]) for side in (ours, theirs))
    first = spread([t.processor for t in start])
    return [
        Row(
            "sweep_run",
            f"sweep of {runs} runs of one step: a run with its process, files and evaluations",
            "ms",
            **spread([t.processor for t in ours]),
            most=30,
            note=f"wall {wall['value']:.0f} ms; whole command with all slots {whole['value']:.0f} ms of the wall a run",
            details={"wall": wall, "whole_with_all_slots": whole, "few": few, "start": first},
        ),
        Row(
            "sweep_run_hydra_basic",
            "the same through Hydra's basic sweeper and launcher, all runs in one process",
            "ms",
            **spread([t.processor for t in theirs]),
            note=f"wall {basic_wall['value']:.0f} ms; measured on {hydra_runs} runs; {runs} would take {runs} times it",
            details={"wall": basic_wall, "runs": hydra_runs},
        ),
    ]


def plan(folder: Path, *, turns: int, runs: int) -> Row:
    from benchmarks.measure import now

    seeds = max(1, runs // 100)
    grid = [f"seed=range(0,{seeds})", "optimizer.lr=" + ",".join(f"{i / 1e4:g}" for i in range(1, runs // seeds + 1))]
    times = []
    for _ in range(turns):
        begun = now()
        made = len(planned(grid, folder).runs)
        times.append((now() - begun).per(1.0))
    scale = 10_000 / made
    wall = spread([t.wall * scale for t in times])
    return Row(
        "plan",
        "plan of 10,000 runs: expanded, checked, named",
        "s",
        **spread([t.processor * scale for t in times]),
        note=f"wall {wall['value']:.2f} s" + ("" if made == 10_000 else f"; extrapolated from {made} runs"),
        details={"wall": wall, "runs": made},
    )
