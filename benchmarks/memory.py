"""Peak memory and time of losses whose obvious form fills the memory; forward and backward, in processes of their own.

The peak is that of the process above what it had before the loss was called: inputs and imports are not counted, the
gradients are.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, spread

EMBEDDING = 128
TILE = 1024
PLAIN_BYTES_PER_PAIR = 20  # of the plain form at its peak, to leave out what cannot fit


def measured(loss: str, size: int, tile: int | None) -> dict[str, float]:
    """{'bytes', 'seconds'} of one forward and backward pass over a batch of this size, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", loss, str(size), json.dumps(tile)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
    return json.loads(done.stdout)


def contrastive(*, sizes: Sequence[int], tile: int = TILE) -> Row:
    """Row 'memory_contrastive': both forms of info_nce at these batch sizes."""
    tiled = {size: measured("info_nce", size, tile) for size in sizes}
    plain = {size: measured("info_nce", size, None) for size in sizes if _fits(size * size * PLAIN_BYTES_PER_PAIR)}
    small, large = sizes[0], sizes[-1]

    def shown(found: dict[int, dict[str, float]], size: int) -> str:
        if size not in found:
            return "does not fit"
        return f"{found[size]['bytes'] / 1e6:.0f} MB {found[size]['seconds']:.2g} s"

    each = (f"{_short(size)} {shown(tiled, size)} (plain {shown(plain, size)})" for size in sizes)

    growth = (tiled[large]["bytes"] / large) / (tiled[small]["bytes"] / small)
    return Row(
        "memory_contrastive",
        f"memory an example of info_nce in tiles, at batch {_short(large)} / at {_short(small)}",
        **spread([growth]),
        most=1.0,
        note=f"embeddings of {EMBEDDING}, tiles of {tile}; batch " + ", ".join(each),
        details={"tile": tile, "tiled": tiled, "plain": plain},
    )


def _short(size: int) -> str:
    return f"{size // 1024}k" if size % 1024 == 0 else str(size)


def _fits(needed: int) -> bool:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return needed < 2**32
    return needed < 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def _peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # Linux: resource would count what the parent had when it forked
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(loss: str, size: int, tile: int | None) -> None:
    import torch

    from lossbench.losses.representation.info_nce import info_nce

    torch.set_num_threads(1)
    run: dict[str, Any] = {"info_nce": lambda u, v: info_nce(u, v, {}, tile=tile).mean()}
    # What the first pass imports and reserves is no memory of the loss; its batch is too small to count.
    for rows in (8, size):
        generator = torch.Generator().manual_seed(0)
        u, v = (torch.randn(rows, EMBEDDING, generator=generator).requires_grad_() for _ in range(2))
        before, begun = _peak(), time.perf_counter()
        run[loss](u, v).backward()
    print(json.dumps({"bytes": _peak() - before, "seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
