"""`lossbench dashboard`: a saved wandb workspace that compares losses, as the mirror's names and axes allow.

Its JSON is always written beside the runs; where wandb can be reached it is saved there too. Means in a chart of wandb
are over the runs that it samples, so verdicts come from `lossbench compare`, not from here.
"""

import argparse
import importlib
import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.errors import UsageError
from lossbench.loggers.run_files import read_json
from lossbench.loggers.sync import DEFAULT_PROJECT
from lossbench.loggers.wandb_mirror import best_of, resolved_mode

if TYPE_CHECKING:
    import wandb_workspaces.workspaces as workspaces

NAME = "lossbench: losses compared"
FILE = "wandb/dashboard.json"
MAX_RUNS = 1000  # of a chart; wandb's own default shows ten


@dataclass(frozen=True)
class Metrics:
    """What the runs of an outputs folder report: names of metrics, without their split; the headline comes first."""

    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def headline(self) -> str:
        return self.validation[0]


def found_metrics(records: Iterable[Mapping[str, Any]]) -> Metrics:
    """The metrics of all the runs. The headline is the one that chose the weights most often."""
    seen: dict[str, dict[str, None]] = {"validation": {}, "test": {}}
    chosen: dict[str, int] = {}
    for record in records:
        for key in (*(record.get("best") or {}), *(record.get("final") or {})):
            split, _, name = key.partition("/")
            if split in seen:
                seen[split][name] = None
        if record.get("best"):
            metric = _selected_by(record.get("config") or {})
            chosen[metric] = chosen.get(metric, 0) + 1

    def order(name: str) -> int:
        return -chosen.get(name, 0)

    return Metrics(tuple(sorted(seen["validation"], key=order)), tuple(sorted(seen["test"], key=order)))


def _selected_by(config: Mapping[str, Any]) -> str:
    """The config's metric, or else its task's; '' where that task is no longer there."""
    metric = (config.get("selection") or {}).get("metric")
    return metric or _task_metric((config.get("task") or {}).get("_target_", ""))


@cache
def _task_metric(target: str) -> str:
    module, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name).selection[0]
    except (ImportError, AttributeError, ValueError):
        return ""


def workspace(metrics: Metrics, project: str, entity: str = "") -> "workspaces.Workspace":
    """The workspace: curves over examples, test metrics, sensitivity to the learning rate, the table of runs.

    Raises UsageError where wandb-workspaces is not installed.
    """
    try:
        with warnings.catch_warnings():  # the package's own, of an old interface of pydantic
            warnings.simplefilter("ignore", DeprecationWarning)
            import wandb_workspaces.reports.v2 as panels
            import wandb_workspaces.workspaces as workspaces
    except ImportError:
        raise UsageError(
            "dashboard: the package wandb-workspaces is not installed. Install lossbench[wandb]: "
            "pip install 'lossbench[wandb]'"
        ) from None
    by_loss = panels.Config("loss_name")

    def curve(key: str) -> Any:
        return panels.LinePlot(
            title=key,
            x="examples",
            y=[key],
            groupby=by_loss,
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            max_runs_to_show=MAX_RUNS,
        )

    def bars(key: str) -> Any:
        return panels.BarPlot(
            title=key,
            metrics=[key],
            groupby=by_loss,
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            max_runs_to_show=MAX_RUNS,
        )

    headline = metrics.headline
    against = panels.SummaryMetric(f"best/validation/{headline}")
    sensitivity: list[Any] = [
        panels.ScatterPlot(
            title=f"learning rate vs. best validation/{headline}",
            x=panels.Config("learning_rate"),
            y=against,
            log_x=True,
        ),
        panels.ParallelCoordinatesPlot(
            title=f"choices vs. best validation/{headline}",
            columns=[
                panels.ParallelCoordinatesPlotColumn(metric=metric)
                for metric in (by_loss, panels.Config("learning_rate"), panels.Config("seed"), against)
            ],
        ),
    ]
    curves: list[Any] = [curve(f"validation/{name}") for name in metrics.validation]
    training: list[Any] = [curve("train/loss"), curve("learning_rate")]
    sections = [
        workspaces.Section(name="Validation over examples, by loss", panels=curves, is_open=True, pinned=True),
        workspaces.Section(name="Test, by loss", panels=[bars(f"test/{name}") for name in metrics.test], is_open=True),
        workspaces.Section(name="Sensitivity", panels=sensitivity, is_open=True),
        workspaces.Section(name="Training", panels=training),
        workspaces.Section(name="Runs", panels=[panels.RunComparer(diff_only="split")]),
    ]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=sections,
        settings=workspaces.WorkspaceSettings(x_axis="examples", max_runs=100),
        runset_settings=workspaces.RunsetSettings(
            groupby=[workspaces.Config("dataset_name"), workspaces.Config("loss_name")],
            order=[workspaces.Ordering(workspaces.Summary(against.name), ascending=best_of(f"/{headline}") == "min")],
            pinned_columns=[
                *(f"config:{name}" for name in ("loss_name", "learning_rate", "seed")),
                *(f"summary:{name}" for name in ("status", against.name, f"test/{headline}", "wall_seconds")),
            ],
        ),
    )


def dashboard(
    outputs: Path, *, project: str = DEFAULT_PROJECT, entity: str | None = None, mode: str = "auto"
) -> tuple[Path, str | None]:
    """Write the workspace of the runs in ``outputs``; save it where wandb is reachable. Returns the file and the
    address, None offline. Saving again changes the workspace that was saved before.

    Raises UsageError where there are no runs, the extra is missing, or wandb refuses.
    """
    outputs = Path(outputs).absolute()
    records = [record for path in sorted(outputs.glob("runs/**/record.json")) if (record := read_json(path))]
    metrics = found_metrics(records)
    if not metrics.validation:
        raise UsageError(
            f"{outputs} has no run with a validation metric, so there is nothing to show. "
            "Train first, or name the folder of the runs with --outputs or LOSSBENCH_OUTPUTS."
        )
    built = workspace(metrics, project, entity or "")
    path = outputs / FILE
    address = (read_json(path) or {}).get("url")
    if resolved_mode(mode) == "online":
        try:
            address = _save(built, address)
        except Exception as error:
            _write(path, built, address)
            raise UsageError(
                f"dashboard: wandb refused it: {error}. The workspace is in {path}; --mode offline only writes that."
            ) from None
    _write(path, built, address)
    return path, address if resolved_mode(mode) == "online" else None


def _save(built: "workspaces.Workspace", address: str | None) -> str:
    import wandb
    import wandb_workspaces.workspaces as workspaces

    if not built.entity:
        built.entity = wandb.Api().default_entity or ""
    if address and f"/{built.entity}/{built.project}" in address:
        try:
            old = workspaces.Workspace.from_url(address)
        except Exception:  # it was deleted there: make a new one
            pass
        else:
            old.sections, old.settings, old.runset_settings = built.sections, built.settings, built.runset_settings
            old.save()
            return str(old.url)
    built.save()
    return str(built.url)


def _write(path: Path, built: "workspaces.Workspace", address: str | None) -> None:
    model = built._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"url": address, "workspace": model}, indent=1))


def main(arguments: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="lossbench dashboard", description="A wandb workspace that compares losses.")
    parser.add_argument("--outputs", type=Path, default=Path(os.environ.get("LOSSBENCH_OUTPUTS", "outputs")))
    parser.add_argument("--project", default=DEFAULT_PROJECT)
    parser.add_argument("--entity")
    parser.add_argument("--mode", choices=("auto", "online", "offline"), default="auto")
    given = parser.parse_args(arguments)
    path, address = dashboard(given.outputs, project=given.project, entity=given.entity, mode=given.mode)
    print(address or f"{path} (offline: not saved in wandb)")
    return 0
