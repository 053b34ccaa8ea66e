"""Many runs as one program against the same runs one after another, through the command line both.

A sweep of one run of one step, for each of the two launchers, is taken off: starting a sweep is a row of its own.
"""

from itertools import count
from pathlib import Path

from benchmarks.measure import LOSSBENCH, Row, Seconds, by_turns, command, spread


def vectorized(folder: Path, device: str, target: float, *, turns: int, runs: int, epochs: int, start: bool) -> Row:
    """Row 'vectorized_<device>'; without ``start`` nothing is taken off."""
    import torch

    where = {"cpu": f"{torch.get_num_threads()} thread a program, all cores", "cuda": "a GPU"}[device]
    name, what = f"vectorized_{device}", f"vectorized launcher, {runs} runs of a small mlp / one after another, {where}"
    if device == "cuda" and not torch.cuda.is_available():
        return Row(name, what, least=target, absent="no GPU here")
    number = count()

    def sweep(launcher: str, size: int, budget: str) -> Seconds:
        outputs = folder / str(next(number))
        options = [f"device={device}", budget, f"evaluation.epochs={epochs}", f"seed=range(0,{size})"]
        return command(LOSSBENCH, "train", "-m", *launcher.split(), *options, f"outputs={outputs}")

    def whole(launcher: str) -> Seconds:
        return sweep(launcher, runs, f"budget.epochs={epochs}")

    def begun(launcher: str) -> Seconds:
        return sweep(launcher, 1, "budget.steps=1") if start else Seconds(0.0, 0.0)

    one_by_one, stacked = "hydra/launcher=local hydra.launcher.slots=1", "hydra/launcher=vectorized"
    alone, alone_begun, together, together_begun = by_turns(
        lambda: whole(one_by_one),
        lambda: begun(one_by_one),
        lambda: whole(stacked),
        lambda: begun(stacked),
        turns=turns,
    )
    alone, together = (
        [a - b for a, b in zip(side, its_start, strict=True)]
        for side, its_start in ((alone, alone_begun), (together, together_begun))
    )
    pairs = list(zip(alone, together, strict=True))
    processor = spread([a.processor / b.processor for a, b in pairs])
    seconds = [spread([t.wall for t in side])["value"] for side in (alone, together)]
    return Row(
        name,
        what,
        **spread([a.wall / b.wall for a, b in pairs]),
        least=target,
        note=f"by the wall: {seconds[0]:.1f} s / {seconds[1]:.1f} s; by the processor {processor['value']:.2f}",
        details={"processor": processor, "runs": runs, "epochs": epochs},
    )
