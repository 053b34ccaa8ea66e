"""Memory and time of the cross-entropy of a large vocabulary: on features and the head's weight, against plain.

The peak is that of a process of its own above what it had before the loss was called, less the gradients of the weight
and of the features, which are there whatever the loss does. Plain cross-entropy is left out where it would take more
than 8 GB.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.measure import Row, spread
from benchmarks.memory import _fits, _peak, _short

WIDTH = 64
PLAIN_BYTES_PER_LOGIT = 12  # logits, their log-softmax and its gradient
MOST_BYTES = 8e9
FORMS = ("linear_cross_entropy", "cross_entropy")


def vocabulary(*, sizes: Sequence[int], tokens: int) -> Row:
    """Row 'memory_vocabulary': both forms, forward and backward, at these sizes of the vocabulary."""
    linear = {size: measured(FORMS[0], size, tokens) for size in sizes}
    needed = {size: size * tokens * PLAIN_BYTES_PER_LOGIT for size in sizes}
    fitting = [size for size in sizes if needed[size] < MOST_BYTES and _fits(needed[size])]
    plain = {size: measured(FORMS[1], size, tokens) for size in fitting}
    small, large = sizes[0], sizes[-1]

    def shown(found: dict[int, dict[str, float]], size: int) -> str:
        if size not in found:
            return "left out"
        return f"{found[size]['bytes'] / 1e6:.0f} MB {found[size]['seconds']:.2g} s"

    each = (f"{_short(size)} {shown(linear, size)} (plain {shown(plain, size)})" for size in sizes)
    return Row(
        "memory_vocabulary",
        f"memory of linear_cross_entropy beside the gradients, at vocabulary {_short(large)} / at {_short(small)}",
        **spread([linear[large]["bytes"] / linear[small]["bytes"]]),
        most=1.25,
        note=f"{tokens} tokens of width {WIDTH}; vocabulary " + ", ".join(each),
        details={"tokens": tokens, "linear": linear, "plain": plain},
    )


def measured(form: str, size: int, tokens: int) -> dict[str, float]:
    """{'bytes', 'seconds'} of one forward and backward pass, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.vocabulary", form, str(size), str(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True)
    return json.loads(done.stdout)


def main(form: str, size: int, tokens: int) -> None:
    from lossbench.ops import linear_log_p  # all that the loss does

    torch.set_num_threads(1)
    run = {
        "linear_cross_entropy": lambda h, w, y: -linear_log_p(h, w, y)[0].mean(),
        "cross_entropy": lambda h, w, y: F.cross_entropy(F.linear(h, w), y),
    }[form]
    # What the first pass imports and reserves is no memory of the loss; it is too small to count.
    for number, classes in ((8, 8), (tokens, size)):
        features, weight = (torch.randn(n, WIDTH).requires_grad_() for n in (number, classes))
        targets = torch.randint(classes, (number,))
        before, begun = _peak(), time.perf_counter()
        run(features, weight, targets).backward()
    gradients = (features.numel() + weight.numel()) * 4
    print(json.dumps({"bytes": _peak() - before - gradients, "seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
