"""`lossbench train -m`: plan, say what is about to happen, run what is not finished, list what failed.

Exit codes: 0 every run completed; 1 not every run did; 2 the plan was refused; 130 interrupted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from lossbench import cli, contract
from lossbench.errors import UsageError
from lossbench.preparing import Prepared
from lossbench.sweep import plan as plans
from lossbench.sweep.display import SweepDisplay, duration, headline, tell
from lossbench.sweep.local import Display, LocalLauncher
from lossbench.sweep.plan import Plan
from lossbench.sweep.server_process import ServerProcess

LOCAL = "hydra_plugins.lossbench_plugins.LocalLauncher"
VECTORIZED = "hydra_plugins.lossbench_plugins.VectorizedLauncher"

Record = dict[str, Any]


def sweep(
    arguments: Sequence[str],
    hydra_context: HydraContext,
    config: DictConfig,
    *,
    dry_run: bool = False,
    server: ServerProcess | None = None,
) -> list[Record]:
    """Returns the records of all runs of the plan that have ended, earlier ones too.

    server   to fork workers from, where it was started already; it is ended here
    """
    launcher = OmegaConf.to_container(config.hydra.launcher, resolve=False)
    assert isinstance(launcher, dict)
    if not _installed(launcher["_target_"]):
        raise UsageError(
            f"hydra/launcher={config.hydra.runtime.choices['hydra/launcher']} needs a package that is not installed. "
            "Those of clusters come with pip install 'lossbench[cluster]'."
        )
    is_local = launcher["_target_"] in (LOCAL, VECTORIZED)
    try:
        plan = plans.make_plan(arguments, hydra_context.config_loader, here=is_local)
        if not plan.runs:
            raise UsageError(f"this sweep has no runs. {_left_out(plan)}".strip())
        found = [own_record(prepared) for prepared in plan.runs]
        pending = select(plan, found)
        for line in announcement(plan, found, pending):
            tell(line)
        if launcher["_target_"] == VECTORIZED:
            from lossbench.vectorized import launcher as vectorized

            for line in vectorized.announcement(pending, launcher["slots"], launcher["stack"]):
                tell(line)
        if not is_local and {prepared.config["device"] for prepared in plan.runs} == {"cpu"}:
            tell("device: the runs are for the processor; device=cuda asks for a GPU there, whatever there is here")
        if dry_run:
            return []
        path = plans.write(plan, plan.runs[0].outputs / "sweeps" / plan.name)
        code = 0
        if pending:
            code = launch(path, plan, pending, launcher, server, hydra_context, config)
            server = None
    finally:
        if server is not None:
            server.close(at_once=True)
    records = [record for prepared in plan.runs if (record := own_record(prepared)) is not None]
    for line in closing(plan, records):
        tell(line)
    unfinished = len(records) < len(plan.runs) or any(record["status"] != "completed" for record in records)
    cli.outcomes.append(max(code, int(unfinished)))
    return records


def _installed(target: str) -> bool:
    """Whether the package of a launcher is there."""
    from importlib.util import find_spec

    return find_spec(".".join(target.split(".")[:2])) is not None


def own_record(prepared: Prepared) -> Record | None:
    """The record in a run's folder, unless it is that of another run."""
    record = prepared.record
    return record if record is not None and record["run"] == prepared.run else None


def select(plan: Plan, found: Sequence[Record | None]) -> dict[int, Prepared]:
    """{line of the plan: run} to do: what is not finished; with retry=failed only what failed before."""
    from lossbench.results.record import FINISHED

    only_failed = plan.runs[0].config["retry"] == "failed"
    return {
        line: prepared
        for line, (prepared, record) in enumerate(zip(plan.runs, found, strict=True))
        if (not only_failed if record is None else record["status"] not in FINISHED or record["run"] != prepared.run)
    }


def launch(
    path: Path,
    plan: Plan,
    pending: Mapping[int, Prepared],
    launcher: Mapping[Any, Any],
    server: ServerProcess | None,
    hydra_context: HydraContext,
    config: DictConfig,
) -> int:
    """Returns 130 where it was interrupted, else 0."""
    display = SweepDisplay(len(pending), len(plan.runs) - len(pending))
    watchers = Watchers([display, *followers(plan)])
    try:
        if launcher["_target_"] not in (LOCAL, VECTORIZED):
            from lossbench.sweep import cluster

            cluster.launch(path, pending, watchers, hydra_context, config)
            return 0
        first = plan.runs[0].config
        options = {str(key): value for key, value in launcher.items() if key != "_target_"}
        limits = {key: first[key] for key in ("fail_fast", "time_limit")}
        kind = LocalLauncher
        if launcher["_target_"] == VECTORIZED:
            from lossbench.vectorized.launcher import VectorizedLauncher as kind
        contract.check(kind, options, "hydra.launcher")
        local = kind(path, watchers, **limits, **options)
        local.run(pending, server)
        return 130 if local.interrupted else 0
    finally:
        watchers.close()


def followers(plan: Plan) -> list[Display]:
    """Whoever else follows the runs of a sweep, beside the display; here a logger is hooked in. ``plan.name`` is the
    group of its runs."""
    config = plan.runs[0].config["logger"]["wandb"]
    if config is None:
        return []
    from lossbench.sweep.mirroring import SweepMirror

    return [SweepMirror({**config, "group": config["group"] or plan.name}, tell)]


class Watchers(Display):
    """Several displays as one."""

    def __init__(self, displays: Sequence[Display]):
        self.displays = displays

    def started(self, prepared: Prepared) -> None:
        for display in self.displays:
            display.started(prepared)

    def progress(self, prepared: Prepared, step: int, total: int) -> None:
        for display in self.displays:
            display.progress(prepared, step, total)

    def ended(self, prepared: Prepared, record: Mapping[str, Any]) -> None:
        for display in self.displays:
            display.ended(prepared, record)

    def warn(self, text: str) -> None:
        for display in self.displays:
            display.warn(text)

    def refresh(self) -> None:
        for display in self.displays:
            display.refresh()

    def close(self) -> None:
        for display in self.displays:
            display.close()


# --- what is said ------------------------------------------------------------------------------------------------


def announcement(plan: Plan, found: Sequence[Record | None], pending: Mapping[int, Prepared]) -> list[str]:
    """What is about to happen: runs, what is done, how long, how many seeds a verdict needs."""
    from lossbench.results.record import FINISHED

    done = sum(record is not None and record["status"] in FINISHED for record in found)
    lines = [f"sweep {plan.name}: {len(plan.runs)} runs, {done} finished before, {len(pending)} to do"]
    if plan.swept:
        lines.append(f"swept: {', '.join(plan.swept)}")
    if plan.trials:
        lines.append(f"search: {plan.trials} trials for each of {plan.arms} configurations")
    if plan.repeated:
        lines.append(f"{plan.repeated} settings come to a run that is there already, which is done once")
    if plan.skipped:
        lines.append(_left_out(plan))
    lines += estimate(pending) if pending else []
    lines += seeds_needed(plan)
    return lines


def _left_out(plan: Plan) -> str:
    if not plan.skipped:
        return ""
    return "left out: " + ", ".join(f"{choice} ({reason})" for choice, reason in plan.skipped.items())


def seeds_needed(plan: Plan) -> list[str]:
    from lossbench.results.statistics import seeds_needed as needed

    if plan.arms < 2:
        return []
    seeds = {prepared.config["seed"] for prepared in plan.runs}
    number = needed(0.05, plan.arms - 1)
    enough = "enough" if len(seeds) >= number else "too few for any difference to be significant"
    return [
        f"seeds: {len(seeds)}; comparing {plan.arms} configurations at 5 % (Holm) needs {number} before the exact "
        f"test can reject: {enough}"
    ]


def estimate(pending: Mapping[int, Prepared]) -> list[str]:
    """How long, from finished runs of the same data, model, budget and device: their mean wall time."""
    from lossbench.results.collect import records

    times: dict[tuple, list[float]] = {}
    for record in records(next(iter(pending.values())).outputs):
        if record["status"] == "completed":
            times.setdefault(_kind(record["config"]), []).append(record["time"]["wall_seconds"])
    means = {kind: sum(seconds) / len(seconds) for kind, seconds in times.items()}
    known = [means[kind] for prepared in pending.values() if (kind := _kind(prepared.config)) in means]
    if len(known) == len(pending):
        return [f"estimated: {duration(sum(known))}, one run after another"]
    part = f"{len(known)} of {len(pending)}" if known else "none"
    return [f"estimated: unknown, finished runs of the same kind exist for {part}"]


def _kind(config: Mapping[str, Any]) -> tuple:
    choices, budget = config["choices"], config["budget"]
    return (choices["dataset"], choices["model"], config["device"], config["threads"], *budget.values())


def closing(plan: Plan, records: Sequence[Record]) -> list[str]:
    """Counts, then every run that failed or diverged with its folder and first line."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record["status"]] = counts.get(record["status"], 0) + 1
    missing = len(plan.runs) - len(records)
    parts = [f"{number} {status}" for status, number in sorted(counts.items())]
    lines = [", ".join(parts + ([f"{missing} not run"] if missing else []))]
    outputs = plan.runs[0].outputs / "runs"
    for record in records:
        if record["status"] != "completed":
            lines.append(f"  {record['status']}: {outputs / record['folder']}\n    {headline(record)}")
    if any(record["status"] in ("failed", "timed_out") for record in records):
        lines.append("retry=failed runs just the failed ones again")
    if missing:
        lines.append("the same command goes on with the rest")
    return lines
