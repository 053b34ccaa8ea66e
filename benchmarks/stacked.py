"""Many runs as one program against the same runs one after another and in slots, through the command line all three.

By the wall, from the start of the process: what a user waits for, the start of the sweep included, which is as long for
each of them and makes the ratio smaller.
"""

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from benchmarks.measure import LOSSBENCH, Row, Seconds, by_turns, command, spread

ROOT = Path(__file__).parents[1]
RATES = "optimizer.lr=1e-4,2e-4,5e-4,1e-3,2e-3,5e-3,1e-2,2e-2"
TWELVE = (
    "loss=cross_entropy,focal,polyloss,squentropy,brier,dual_focal,hinge,comp_sum,logit_adjustment,balanced_softmax,"
    "exponential,seesaw"
)
STEPS = ("dataset._target_=benchmarks.workloads.random_colour_images", "budget.steps=250", "evaluation.steps=125")
WORKLOADS: dict[str, tuple[str, Sequence[str]]] = {
    "": ("64 runs of the digits mlp, 8 learning rates x 8 seeds", (RATES, "seed=range(0,8)")),
    "losses_": ("60 runs of the digits mlp, twelve losses x 5 seeds", (TWELVE, "seed=range(0,5)")),
    "convnet_": ("64 runs of a convnet, images 3x32x32", ("model=convnet", *STEPS, RATES, "seed=range(0,8)")),
    "resnet_": ("16 runs of ResNet-18, images 3x32x32", ("model=resnet18", *STEPS, "seed=range(0,16)")),
}
LAUNCHERS = {
    "one after another": ("hydra/launcher=local", "hydra.launcher.slots=1"),
    "in slots": ("hydra/launcher=local",),
    "vectorized": ("hydra/launcher=vectorized",),
}


def overrides(name: str, quick: bool) -> list[str]:
    """Of a workload; to be quick the first two values of what is swept, and two steps."""
    chosen = list(WORKLOADS[name][1])
    if not quick:
        return chosen
    fewer = [f"{key}={','.join(values.split(',')[:2])}" for key, values in (o.split("=", 1) for o in chosen)]
    return [*(o for o in fewer if not o.startswith("seed=")), "seed=0,1", "budget.steps=2", "evaluation.steps=2"]


def vectorized(name: str, device: str, folder: Path, *, target: float | None, turns: int, quick: bool) -> Row:
    """Row 'vectorized_<name><device>'."""
    import torch

    row, what = f"vectorized_{name}{device}", f"{WORKLOADS[name][0]}: vectorized launcher / one after another"
    if device == "cuda" and not torch.cuda.is_available():
        return Row(row, what, least=target, absent="needs CUDA: no GPU here")
    number, peaks = count(), {}

    def sweep(launcher: str) -> Seconds:
        outputs = folder / str(next(number))
        options = [*overrides(name, quick), *LAUNCHERS[launcher], f"device={device}"]
        seconds = command(LOSSBENCH, "train", "-m", *options, f"outputs={outputs}", PYTHONPATH=str(ROOT))
        records = [json.loads(path.read_bytes()) for path in outputs.glob("runs/**/record.json")]
        assert records and all(record["status"] in ("completed", "diverged") for record in records)
        peaks[launcher] = max(record["memory"]["peak_bytes"] or 0 for record in records)
        return seconds

    sides = by_turns(*(lambda launcher=launcher: sweep(launcher) for launcher in LAUNCHERS), turns=turns)
    times = dict(zip(LAUNCHERS, sides, strict=True))
    wall = {launcher: spread([t.wall for t in side])["value"] for launcher, side in times.items()}
    alone, slots, together = times.values()
    to_slots = spread([a.wall / b.wall for a, b in zip(slots, together, strict=True)])
    processor = spread([a.processor / b.processor for a, b in zip(alone, together, strict=True)])
    shown = ", ".join(f"{launcher} {seconds:.1f} s" for launcher, seconds in wall.items())
    megabytes = f"{peaks['vectorized'] / 1e6:.0f} MB / {peaks['one after another'] / 1e6:.0f} MB"
    return Row(
        row,
        what,
        **spread([a.wall / b.wall for a, b in zip(alone, together, strict=True)]),
        least=target,
        note=f"wall from process start: {shown}; in slots / vectorized {to_slots['value']:.2f}; by the processor "
        f"{processor['value']:.2f}; peak memory of a process {megabytes}",
        details={"wall": wall, "slots": to_slots, "processor": processor, "peak_bytes": peaks},
    )
