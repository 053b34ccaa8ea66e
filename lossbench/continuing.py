"""Going on from another run: `continue_from=<folder>` starts at a checkpoint that the other run has kept.

It changes no result, only the way to it: the new run is the one that its config names, and ends as if it had been
trained from the beginning. So the other run must have done the same up to that step: an equal config but for schedule
and budget, and a schedule whose multipliers agree until there. That is how one stable run of a warm-up-stable-decay
schedule is decayed at several lengths:

    lossbench train schedule.warmup=50 schedule.decay=0 budget.steps=1000 checkpoint.keep=[400,800]
    lossbench train schedule.warmup=50 schedule.decay=100 budget.steps=500 continue_from=outputs/runs/...
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from lossbench import checkpoint
from lossbench.binding import bind
from lossbench.building import steps_of
from lossbench.errors import UsageError
from lossbench.objective import Objective
from lossbench.preparing import NOT_IDENTITY
from lossbench.results import record as records
from lossbench.source import Source

MAY_DIFFER = ("schedule", "budget", "choices", *NOT_IDENTITY)


def start(
    config: Mapping[str, Any], run: str, folder: Path, objective: Objective, source: Source, device: torch.device
) -> dict[str, Any]:
    """The payload to resume from, of the newest checkpoint of ``config['continue_from']`` that fits; the rows of
    metrics up to there are copied into ``folder``.

    Raises UsageError where the other run is another one from the start, or has kept no checkpoint early enough.
    """
    other = Path(config["continue_from"])
    try:
        theirs = yaml.safe_load((other / "config.yaml").read_text(encoding="utf-8"))
    except OSError:
        raise UsageError(
            f"continue_from={other} is not the folder of a run: it has no config.yaml. Give one such as "
            "outputs/runs/digits/mlp/cross_entropy/seed0-..."
        ) from None
    different = sorted(
        key for key in {*config, *theirs} if key not in MAY_DIFFER and config.get(key) != theirs.get(key)
    )
    if different:
        raise UsageError(
            f"continue_from={other}: that run differs in {', '.join(different)}, so that its weights are not those "
            "which this run would have. Only schedule and budget may differ."
        )
    if objective.needs_progress:
        raise UsageError(
            "continue_from: the objective depends on the part of the budget that is spent, so that runs of different "
            "budgets differ from the first step. Train this run from the beginning."
        )
    agreed = _steps_in_common(config, theirs, source)
    kept = [path for path in checkpoint.kept(other) if checkpoint.step_of(path) <= agreed]
    if not kept:
        steps = ", ".join(str(checkpoint.step_of(path)) for path in checkpoint.kept(other)) or "none"
        raise UsageError(
            f"continue_from={other}: the schedules agree up to step {agreed}, and the checkpoints kept there are of "
            f"steps: {steps}. Train that run with checkpoint.keep=[{agreed}]"
            + (", and give schedule.warmup in steps, not as a part of the run." if agreed == 0 else ".")
        )
    try:
        payload = checkpoint.read(kept[-1], device)
    except ValueError as error:
        raise UsageError(f"continue_from: {error}. Train that run again.") from None
    records.copy_rows(other, folder, payload["step"])
    return {**payload, "run": run, "resumed": payload["resumed"] - 1}  # taken over, not interrupted


def _steps_in_common(ours: Mapping[str, Any], theirs: Mapping[str, Any], source: Source) -> int:
    """How many steps both runs would do alike."""
    schedules = [bind(config["schedule"], "schedule") for config in (ours, theirs)]
    totals = [steps_of(config["budget"], source.steps_per_epoch, source.batch_size) for config in (ours, theirs)]
    if None in totals:
        raise UsageError("continue_from: a budget in seconds has no steps to compare. Give budget.steps or .epochs.")
    first, second = totals
    assert first is not None and second is not None
    for step in range(min(first, second)):
        if schedules[0](step, first) != schedules[1](step, second):
            return step
    return min(first, second)
