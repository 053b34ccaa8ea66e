"""`lossbench train -m`: plan, say what is about to happen, run what is not finished, list what failed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from lossbench import cli
from lossbench.display import say
from lossbench.errors import UsageError
from lossbench.run import Prepared, without_seed
from lossbench.sweep import plan as plans
from lossbench.sweep.display import SweepDisplay, duration, headline

LOCAL = "hydra_plugins.lossbench_plugins.LocalLauncher"


def sweep(
    arguments: Sequence[str],
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    *,
    dry_run: bool = False,
) -> list[dict[str, Any]]:
    """Returns the records of all runs of the plan that have ended, earlier ones too."""
    plan = plans.make_plan(arguments, hydra_context.config_loader)
    if not plan.runs:
        raise UsageError("this sweep has no runs.")
    pending = select(plan.pending(), plan.runs[0].config["retry"])
    done = len(plan.runs) - len(plan.pending())
    for line in announcement(plan, pending, done):
        say(line)
    if dry_run:
        return []
    first = plan.runs[0]
    folder = first.outputs / "sweeps" / plan.name
    path = plans.write(plan, folder)
    if pending:
        launch(path, plan, pending, done, hydra_context, task_function, config)
    records = [record for prepared in plan.runs if (record := prepared.record) is not None]
    for line in closing(plan, records):
        say(line)
    unfinished = len(records) < len(plan.runs) or any(record["status"] != "completed" for record in records)
    cli.outcomes.append(1 if unfinished else 0)
    return records


def select(pending: list[Prepared], retry: str | None) -> list[Prepared]:
    """With retry=failed only the runs that failed before."""
    return [p for p in pending if p.record is not None] if retry == "failed" else pending


def launch(
    path: Path,
    plan: plans.Plan,
    pending: list[Prepared],
    done: int,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
) -> None:
    first = plan.runs[0].config
    launcher = config.hydra.launcher
    if launcher._target_ == LOCAL:
        from lossbench.sweep.local import LocalLauncher

        display = SweepDisplay(len(pending), done)
        options = {key: value for key, value in OmegaConf.to_container(launcher).items() if key != "_target_"}  # type: ignore[union-attr]
        local = LocalLauncher(path, display, fail_fast=first["fail_fast"], time_limit=first["time_limit"], **options)
        try:
            local.run(pending)
        finally:
            display.close()
    else:
        from hydra.core.plugins import Plugins

        position = {prepared.run: i for i, prepared in enumerate(plan.runs)}
        engine = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        jobs = [[f"+plan.file={path}", f"+plan.index={position[prepared.run]}"] for prepared in pending]
        engine.launch(jobs, initial_job_idx=0)


def announcement(plan: plans.Plan, pending: Sequence[Prepared], done: int) -> list[str]:
    """What is about to happen: runs, what is done, how long, how many seeds a verdict needs."""
    lines = [f"sweep {plan.name}: {len(plan.runs)} runs, {done} finished before, {len(pending)} to do"]
    if plan.swept:
        lines.append(f"swept: {', '.join(plan.swept)}")
    if plan.skipped:
        lines.append(f"left out, because the task cannot host them: {', '.join(plan.skipped)}")
    seconds = [estimate for prepared in pending if (estimate := estimated_seconds(prepared)) is not None]
    if seconds and len(seconds) == len(pending):
        lines.append(f"estimated: {duration(sum(seconds))} of training, one run after another")
    elif pending:
        known = f"{len(seconds)} of {len(pending)}" if seconds else "none"
        lines.append(f"estimated: unknown, finished runs of the same kind exist for {known}")
    lines += seeds_needed(plan)
    return lines


def seeds_needed(plan: plans.Plan) -> list[str]:
    from lossbench.results.statistics import seeds_needed as needed

    seeds = {prepared.config["seed"] for prepared in plan.runs}
    arms = {without_seed(prepared.config) for prepared in plan.runs}
    if len(arms) < 2:
        return []
    number = needed(0.05, len(arms) - 1)
    enough = "enough" if len(seeds) >= number else "too few for any difference to be significant"
    return [
        f"seeds: {len(seeds)}; comparing {len(arms)} configurations at 5 % (Holm) needs {number} before the exact "
        f"test can reject: {enough}"
    ]


_rates: dict[Path, dict[tuple, list[float]]] = {}


def estimated_seconds(prepared: Prepared) -> float | None:
    """From finished runs of the same data, model and device: their mean wall time for each step, times the steps."""
    if prepared.outputs not in _rates:
        _rates[prepared.outputs] = {}
        from lossbench.results.collect import records

        for record in records(prepared.outputs):
            if record["status"] == "completed" and record["steps"]:
                kind = _kind(record["config"])
                _rates[prepared.outputs].setdefault(kind, []).append(record["time"]["wall_seconds"])
    found = _rates[prepared.outputs].get(_kind(prepared.config))
    return sum(found) / len(found) if found else None


def _kind(config: Mapping[str, Any]) -> tuple:
    choices, budget = config["choices"], config["budget"]
    return (choices["dataset"], choices["model"], config["device"], config["threads"], tuple(budget.values()))


def closing(plan: plans.Plan, records: Sequence[Mapping[str, Any]]) -> list[str]:
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
    return lines
