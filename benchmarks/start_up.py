"""From the start of the process to the first answer, and to step 0.

Step 0 is not looked for: the whole of a run of one step is measured, from the start of its process to the end, and
importing torch is taken off. That is more than was asked for (the step, the evaluations, the files and the record are
in it), and it needs no hook in the product.
"""

import sys
from itertools import count
from pathlib import Path

from benchmarks.measure import LOSSBENCH, Row, by_turns, command, spread


def help_text(turns: int) -> Row:
    ours, python = by_turns(
        lambda: command(LOSSBENCH, "--help"), lambda: command(sys.executable, "-c", "pass"), turns=turns
    )
    wall, alone = (spread([t.wall for t in ours]), spread([t.processor for t in python]))
    return Row(
        "start_help",
        "lossbench --help",
        "s",
        **spread([t.processor for t in ours]),
        most=0.3,
        note=f"wall {wall['value']:.2f} s; of it, Python itself {alone['value']:.2f} s",
        details={"wall": wall, "python": alone},
    )


def one_step(folder: Path, turns: int) -> Row:
    number = count()

    def train() -> object:  # every turn in a folder of its own: a finished run is not run again
        return command(LOSSBENCH, "train", "budget.steps=1", f"outputs={folder / str(next(number))}")

    ours, torch = by_turns(train, lambda: command(sys.executable, "-c", "import torch"), turns=turns)
    pairs = [a - b for a, b in zip(ours, torch, strict=True)]
    wall = spread([pair.wall for pair in pairs])
    imports = spread([t.processor for t in torch])
    return Row(
        "start_train",
        "lossbench train, a whole run of one step, beyond importing torch",
        "s",
        **spread([pair.processor for pair in pairs]),
        most=0.7,
        note=f"wall {wall['value']:.2f} s; importing torch {imports['value']:.2f} s of the processor",
        details={"wall": wall, "import_torch": imports, "whole": spread([t.processor for t in ours])},
    )
