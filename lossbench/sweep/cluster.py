"""Launchers other than the local one: Hydra's plugins for Slurm, ray and others start the jobs of a frozen plan.

A job gets the frozen plan's file and a line of it. Nothing is composed there: Hydra's config loader is replaced by one
that hands on what it is told. In the job a run has a process of its own, as under the local launcher, so that time
limits, crashes, retries, checkpoints and records are the same.
"""

import contextlib
import copy
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from lossbench.errors import RunError
from lossbench.preparing import Prepared
from lossbench.sweep import plan as plans
from lossbench.sweep.local import Display, LocalLauncher

LOOK_SECONDS = 1.0  # between looks at the records of running jobs
SUBMITIT_LOCAL = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"
RAY = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"
BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


class FrozenLoader:
    """In the place of Hydra's config loader: a job's config is Hydra's own settings and its line of the plan."""

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        config = copy.deepcopy(OmegaConf.masked_copy(master_config, "hydra"))
        plan = dict(override.removeprefix("+plan.").split("=", 1) for override in sweep_overrides)
        with open_dict(config):
            config.plan = plan
            config.hydra.overrides.task = list(sweep_overrides)
        return config


def job(config: DictConfig) -> str:
    """What an engine calls: one run of a frozen plan in a process of its own. Returns how it ended."""
    path, index = Path(config.plan.file), int(config.plan.index)
    prepared = plans.read_one(path, index)
    if not prepared.finished:
        LocalLauncher(path, Display(), slots=1, time_limit=prepared.config["time_limit"]).run({index: prepared})
    return (prepared.record or {"status": "not finished"})["status"]


def job_here(config: DictConfig) -> str:
    """The same in the engine's own process, for debuggers: hydra/launcher=basic."""
    from lossbench.run import execute

    prepared = plans.read_one(Path(config.plan.file), int(config.plan.index))
    try:
        return execute(prepared)["status"]
    except RunError:
        return "failed"


def launch(
    plan: Path,
    pending: Mapping[int, Prepared],
    display: Display,
    hydra_context: HydraContext,
    config: DictConfig,
) -> None:
    """Hand the pending runs to the engine and wait for them. What the engine loses is left for the next time."""
    from hydra.core.plugins import Plugins
    from hydra.core.utils import JobStatus

    target = config.hydra.launcher._target_
    name = config.hydra.runtime.choices["hydra/launcher"]
    if next(iter(pending.values())).config["fail_fast"] is not None:
        display.warn(f"hydra/launcher={name} does not count failures: fail_fast is ignored")
    _fill_in(config, list(pending.values()))
    context = HydraContext(config_loader=FrozenLoader(), callbacks=hydra_context.callbacks)  # type: ignore[arg-type]
    jobs = [[f"+plan.file={plan}", f"+plan.index={line}"] for line in pending]
    size = _at_once(list(pending.values())) if target == SUBMITIT_LOCAL else len(jobs)
    with _watched(pending, display), _ray_ended_after(target):
        for start in range(0, len(jobs), size):
            engine = Plugins.instance().instantiate_launcher(
                hydra_context=context, task_function=job_here if target == BASIC else job, config=config
            )
            try:
                returned = engine.launch(jobs[start : start + size], initial_job_idx=start)
            except Exception as error:  # a job that the engine lost, a cluster that is not there
                display.warn(f"{name}: {_first_line(error)}. Jobs that still run go on; the same command does the rest")
                continue
            for result in returned:
                if result.status is not JobStatus.COMPLETED:
                    display.warn(f"{name}: a job failed: {_first_line(result._return_value)}")


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"


def _fill_in(config: DictConfig, pending: Sequence[Prepared]) -> None:
    """What the launcher's config leaves open and the plan knows: cores and GPUs of a job, where its files go."""
    launcher = config.hydra.launcher
    threads = max(prepared.config["threads"] for prepared in pending)
    gpus = int(any(prepared.config["device"].startswith("cuda") for prepared in pending))
    with open_dict(config):
        config.hydra.sweep.dir = str(pending[0].outputs / "sweeps")
        if "cpus_per_task" in launcher and launcher.cpus_per_task is None:
            launcher.cpus_per_task = threads
        if "gpus_per_node" in launcher and launcher.gpus_per_node is None:
            launcher.gpus_per_node = gpus
        if launcher._target_ == RAY:
            launcher.ray.remote.setdefault("num_cpus", threads)
            launcher.ray.remote.setdefault("num_gpus", gpus)
            if launcher.ray.init.get("address") is not None:  # a cluster that is there decides this itself
                launcher.ray.init.setdefault("object_store_memory", None)


def _at_once(pending: Sequence[Prepared]) -> int:
    """Submitit starts all local jobs at the same time; we hand them over in portions that the cores can take."""
    threads = max(prepared.config["threads"] for prepared in pending)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


@contextlib.contextmanager
def _watched(pending: Mapping[int, Prepared], display: Display) -> Iterator[None]:
    """Within: the display hears of every record as it appears."""
    left = dict(pending)
    before = {line: _time(prepared) for line, prepared in pending.items()}
    over = threading.Event()

    def look() -> None:
        for line, prepared in list(left.items()):
            if _time(prepared) != before[line] and (record := prepared.record) is not None:
                del left[line]
                display.ended(prepared, record)
        display.refresh()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        look()


def _time(prepared: Prepared) -> int | None:
    try:
        return os.stat(prepared.folder / "record.json").st_mtime_ns
    except OSError:
        return None


@contextlib.contextmanager
def _ray_ended_after(target: str) -> Iterator[None]:
    """A ray that was started for this sweep ends with it."""
    if target != RAY:
        yield
        return
    import ray

    ours = not ray.is_initialized()
    try:
        yield
    finally:
        if ours and "ray" in sys.modules:
            ray.shutdown()
