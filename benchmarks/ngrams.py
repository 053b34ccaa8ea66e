"""The entropy of n-gram models of a text, computed from counts alone: what a trained language model is compared with.

    python -m benchmarks.ngrams [--most 8]

Each model is fitted on the training part of dataset=shakespeare, bytes, and measured on validation and test, in nats
per byte. It may look back n - 1 bytes anywhere, where a trained model sees no further than the beginning of its block.

    p_n(c | s) = (count(s c) + d_n(s) p_{n-1}(c | s')) / (count(s) + d_n(s))        s' is s without its first byte

Source    interpolation by the number of different bytes seen after a context, d_n(s) = strength times that number:
          Witten and Bell 1991, method C, with strength 1; p_0 is uniform over the 256 bytes
"""

import argparse
import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import torch

from lossbench.datasets.shakespeare import shakespeare, text


def entropies(train: bytes, measured: Sequence[bytes], most: int) -> list[list[float]]:
    """[n - 1][part]: nats per byte of the n-gram model of order n on each part, n = 1..most."""
    counts: list[dict[bytes, Counter]] = []
    for before in range(most):
        found: dict[bytes, Counter] = defaultdict(Counter)
        for place in range(before, len(train)):
            found[train[place - before : place]][train[place]] += 1
        counts.append(found)
    totals = [{context: sum(c.values()) for context, c in found.items()} for found in counts]
    sums = [[0.0] * len(measured) for _ in range(most)]
    for part, data in enumerate(measured):
        for place in range(most - 1, len(data)):
            p = 1 / 256
            for before in range(most):
                context = data[place - before : place]
                own = counts[before].get(context)
                if own is not None:
                    total, kinds = totals[before][context], len(own)
                    p = (own.get(data[place], 0) + kinds * p) / (total + kinds)
                sums[before][part] -= math.log(p)
    return [[total / (len(data) - most + 1) for total, data in zip(row, measured, strict=True)] for row in sums]


def parts() -> list[bytes]:
    """The text of the three splits, which the data set cuts into blocks."""
    dataset = shakespeare(generator=torch.Generator(), block_length=1)
    sizes = [len(split) + 1 for split in (dataset.train, dataset.validation, dataset.test)]
    whole, found = text().encode(), []
    for size in sizes:
        found.append(whole[:size])
        whole = whole[size:]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ngrams")
    parser.add_argument("--most", type=int, default=8, help="the highest order (default: 8)")
    options = parser.parse_args(arguments)
    train, validation, test = parts()
    print("n   validation   test   (nats per byte)")
    for n, row in enumerate(entropies(train, [validation, test], options.most), 1):
        print(f"{n}   {row[0]:.4f}       {row[1]:.4f}")


if __name__ == "__main__":
    main()
