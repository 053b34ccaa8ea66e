"""Shakespeare: eight plays, 1.0 MB, 76 different characters; in the package, no download.

Source    the plays of William Shakespeare, public domain
Inputs    [block_length] token indices; targets are the tokens after them
Splits    contiguous: the first 80 % of the text train, the next 10 % validation, the last 10 % test; no token in two
"""

from importlib import resources
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator

from lossbench.datasets.tokenizers import tokenizer_of
from lossbench.datasets.tokens import PARTS, TokenDataset, blocks, carve_parts, too_short


def shakespeare(
    *, generator: Generator, tokenizer: str = "bytes", block_length: Annotated[int, Ge(1)] = 128
) -> TokenDataset:
    """generator decides nothing: the splits are parts of the text.

    tokenizer      bytes, tiktoken:NAME or huggingface:NAME; see lossbench/datasets/tokenizers.py
    block_length   tokens of an example
    """
    chosen = tokenizer_of(tokenizer)
    tokens = torch.tensor(list(chosen.encode(text())))
    ranges = carve_parts({"train": (0, len(tokens))}, {"validation": 0.1, "test": 0.1})
    train, validation, test = (blocks(tokens[slice(*ranges[part])], block_length) for part in PARTS)
    dataset = TokenDataset(train, validation, test, chosen.size, tokenizer=chosen)
    too_short(dataset, block_length)
    return dataset


def text() -> str:
    """All of it, with its line ends as they are in the file."""
    return resources.files("lossbench").joinpath("data", "shakespeare.txt").read_bytes().decode()
