"""Where the time of a row goes: a line beside each target that was missed, and beside every row with --profile."""

import functools
import gc
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import stacked, training_step
from benchmarks.workloads import planned, prepared


class Parts:
    """Within: calls of functions are timed, by the processor's clock; what a part spends in another counts there.

    parts   {label: [(owner, name of its attribute), ...]}
    """

    def __init__(self, parts: Mapping[str, Sequence[tuple[Any, str]]]):
        self.parts = parts
        self.seconds: dict[str, float] = defaultdict(float)
        self.within = ["the rest"]

    def __enter__(self) -> "Parts":
        self.originals = [(owner, name, vars(owner)[name]) for found in self.parts.values() for owner, name in found]
        for label, found in self.parts.items():
            for owner, name in found:
                setattr(owner, name, self._timed(vars(owner)[name], label))
        self.mark = time.process_time()
        return self

    def __exit__(self, *ended: object) -> None:
        self._pass_time()
        for owner, name, original in self.originals:
            setattr(owner, name, original)

    def _timed(self, function: Callable, label: str) -> Callable:
        @functools.wraps(function)
        def inside(*arguments: Any, **named: Any) -> Any:
            self._pass_time()
            self.within.append(label)
            try:
                return function(*arguments, **named)
            finally:
                self._pass_time()
                self.within.pop()

        return inside

    def _pass_time(self) -> None:
        now = time.process_time()
        self.seconds[self.within[-1]] += now - self.mark
        self.mark = now


def shown(seconds: Mapping[str, float], scale: float = 1.0, unit: str = "s") -> str:
    """The parts, the largest first."""
    total = sum(seconds.values())
    parts = sorted(seconds.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{label} {value * scale:.2g} {unit} ({value / total:.0%})" for label, value in parts)
    return f"{listed}; together {total * scale:.3g} {unit} of the processor"


def of_step(name: str, folder: Path, quick: bool) -> str:
    """The product's own profile of a run."""
    from lossbench import profiling, run

    overrides = [*training_step.WORKLOADS[name][1], training_step.NEVER, "profile=true"]
    done = prepared([*overrides, f"budget.steps={40 if quick else 2000 if name != 'gpt' else 100}"], folder / name)
    run.execute(done)
    lines = [line.split() for line in (done.folder / profiling.TABLE).read_text().splitlines()]
    steps = {line[0]: line[3] for line in lines if line[0] in profiling.OF_STEPS}
    return "a step: " + ", ".join(f"{part} {micros} us" for part, micros in steps.items())


def of_imports(arguments: Sequence[str], folder: Path) -> str:
    """The packages that a command imports, each without what it imports from others."""
    command = [sys.executable, "-X", "importtime", "-m", "lossbench", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = defaultdict(float)
    for line in done.stderr.splitlines():
        if line.startswith("import time:") and "self" not in line:
            own, _, name = line.removeprefix("import time:").split("|")
            found[name.strip().split(".")[0]] += int(own) / 1e6
    largest = sorted(found, key=lambda name: -found[name])[:6]
    rest = sum(seconds for name, seconds in found.items() if name not in largest)
    listed = ", ".join(f"{name} {found[name]:.2f} s" for name in largest)
    return f"imports, measured one by one, which doubles some: {listed}, others {rest:.2f} s"


def of_one_run(folder: Path, quick: bool) -> str:
    """A run of one step in the process that has everything loaded, and what a process of its own adds."""
    from lossbench import run
    from lossbench.sweep import server
    from lossbench.trainer import Trainer

    number = 2 if quick else 20
    runs = planned(["budget.steps=1", f"seed=range(0,{2 * number + 2})"], folder / "runs").runs
    server.import_engine()
    server.warm(runs[0].config)
    for one in runs[:2]:
        run.execute(one)
    parts: dict[str, list[tuple[Any, str]]] = {
        "building": [(run, "build")],
        "the step": [(Trainer, "_train_step")],
        "evaluation": [(Trainer, "_evaluate_validation")],
        "test metrics": [(Trainer, "_test")],
        "record and weights": [(run, "write_results")],
    }
    with Parts(parts) as timed:
        for one in runs[2 : number + 2]:
            run.execute(one)
    here = {label: seconds / number for label, seconds in timed.seconds.items()}
    gc.collect()
    gc.freeze()  # as the server does
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.process_time()
    for one in runs[number + 2 :]:
        pid = os.fork()
        if pid == 0:
            run.execute(one)
            os._exit(0)
        os.waitpid(pid, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    gc.unfreeze()
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + time.process_time() - begun
    here["a process of its own, whose pages are copied when written to"] = spent / number - sum(here.values())
    return shown(here, 1e3, "ms")


def of_collecting(folder: Path, quick: bool) -> str:
    from benchmarks import collecting
    from lossbench.results import collect

    with Parts({"reading and parsing": [(collect, "_read")], "rows": [(collect, "row")]}) as timed:
        collecting.collect_records(folder / "records", turns=1, records=100 if quick else 10_000)
    del timed.seconds["the rest"]  # here the records are made, too
    return shown(timed.seconds)


def of_stack(name: str, folder: Path, quick: bool) -> str:
    """One of the programs that the vectorized launcher makes of the sweep on two cores."""
    import torch

    from lossbench.sweep import server
    from lossbench.vectorized import engine, grouping, stack

    runs = planned([*stacked.overrides(name, quick), "device=cpu"], folder / "stack").runs
    server.import_engine()
    server.warm(runs[0].config)
    together = list(grouping.split(dict(enumerate(runs)), 2)[0][0].values())
    parts: dict[str, list[tuple[Any, str]]] = {
        "building": [(engine.Program, "_build")],
        "batches": [(stack.Data, "batches")],
        "forward and loss": [(stack.Stack, "losses")],
        "backward": [(torch.Tensor, "backward")],
        "optimizer": [(stack.Segment, "step")],
        "evaluation": [(engine.Program, "_evaluate")],
        "test metrics and records": [(engine.Program, "_finish")],
    }
    with Parts(parts) as timed:
        engine.train(together)
    return f"a program of {len(together)} runs: {shown(timed.seconds)}"


PROFILES: dict[str, Callable[[Path, bool], str]] = {
    "step_digits": lambda folder, quick: of_step("digits", folder, quick),
    "step_digits_one_group": lambda folder, quick: of_step("digits", folder, quick),
    "step_images": lambda folder, quick: of_step("images", folder, quick),
    "step_gpt": lambda folder, quick: of_step("gpt", folder, quick),
    "start_help": lambda folder, quick: of_imports(["--help"], folder),
    "start_train": lambda folder, quick: of_imports(["train", "budget.steps=1", f"outputs={folder / 'one'}"], folder),
    "sweep_run": of_one_run,
    "collect": of_collecting,
    "vectorized_cpu": lambda folder, quick: of_stack("", folder, quick),
    "vectorized_losses_cpu": lambda folder, quick: of_stack("losses_", folder, quick),
}
