"""Shakespeare's plays one by one: some to train on, and perhaps others as outliers; in the package, no download.

Source    the eight plays of the data set shakespeare, public domain
Inputs    [block_length] token indices (bytes, or as the tokenizer has it); targets are the tokens after them
Splits    contiguous in each play: its first 80 % train, the next 10 % validation, the last 10 % test; no block is of
          two plays. extra["outliers"] has the blocks of the test parts of the outlier plays
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Len
from torch import Generator, Tensor

from lossbench.datasets.dataset import Split
from lossbench.datasets.shakespeare import text
from lossbench.datasets.tokenizers import tokenizer_of
from lossbench.datasets.tokens import PARTS, TokenDataset, blocks, carve_parts, too_short
from lossbench.errors import UsageError

Play = Literal[
    "hamlet",
    "macbeth",
    "king_lear",
    "romeo_and_juliet",
    "othello",
    "midsummer_nights_dream",
    "tempest",
    "julius_caesar",
]
TITLES: dict[Play, str] = {  # the line that each begins with, in the order of the text
    "hamlet": "HAMLET, PRINCE OF DENMARK",
    "macbeth": "MACBETH",
    "king_lear": "THE TRAGEDY OF KING LEAR",
    "romeo_and_juliet": "ROMEO AND JULIET",
    "othello": "OTHELLO, THE MOOR OF VENICE",
    "midsummer_nights_dream": "A MIDSUMMER NIGHT'S DREAM",
    "tempest": "THE TEMPEST",
    "julius_caesar": "JULIUS CAESAR",
}


def shakespeare_plays(
    *,
    generator: Generator,
    plays: Annotated[Sequence[Play], Len(1)] = tuple(TITLES),
    outliers: Sequence[Play] = (),
    tokenizer: str = "bytes",
    block_length: Annotated[int, Ge(1)] = 128,
) -> TokenDataset:
    """generator decides nothing: the splits are parts of the plays.

    plays          to train on and to be tested on
    outliers       plays whose test parts are the outliers
    tokenizer      bytes, tiktoken:NAME or huggingface:NAME; see lossbench/datasets/tokenizers.py
    block_length   tokens of an example
    """
    both = sorted(set(plays) & set(outliers))
    if both:
        raise UsageError(f"dataset.outliers: {', '.join(both)} is among dataset.plays too. Choose other plays.")
    chosen = tokenizer_of(tokenizer)
    parts: dict[str, list[Split]] = {part: [] for part in PARTS}
    outside: list[Split] = []
    for play, words in texts().items():
        if play not in (*plays, *outliers):
            continue
        tokens = torch.tensor(list(chosen.encode(words)))
        ranges = carve_parts({"train": (0, len(tokens))}, {"validation": 0.1, "test": 0.1})
        if play in outliers:
            outside.append(blocks(tokens[slice(*ranges["test"])], block_length))
        else:
            for part in PARTS:
                parts[part].append(blocks(tokens[slice(*ranges[part])], block_length))
    train, validation, test = (_joined(parts[part]) for part in PARTS)
    extra = {"outliers": _joined(outside)} if outside else {}
    dataset = TokenDataset(train, validation, test, chosen.size, extra=extra, tokenizer=chosen)
    too_short(dataset, block_length)
    return dataset


def texts() -> dict[str, str]:
    """The plays by name, each from its title on."""
    whole = text().replace("\r\n", "\n")
    starts = [whole.index(f"{title}\n") for title in TITLES.values()]
    return {name: whole[a:b] for name, a, b in zip(TITLES, starts, [*starts[1:], len(whole)], strict=True)}


def _joined(splits: Sequence[Split]) -> Split:
    inputs = torch.cat([split.inputs for split in splits if isinstance(split.inputs, Tensor)])
    return Split(inputs, {"targets": torch.cat([split.labels["targets"] for split in splits])})
