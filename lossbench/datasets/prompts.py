"""Data sets of prompts whose completions a verifier can judge.

inputs   x [n, P] token indices of prompts, padded behind
labels   prompt_lengths [n], how many of them are the prompt's; answers [n, A], what the verifier compares with
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.tokenizers import Tokenizer


class Samples(NamedTuple):
    """Whole sequences, of which a policy may learn before.

    rows     [n, L] prompts with completions, padded behind
    starts   [n] place of the first token of the completion        stops   [n] behind its end token
    """

    rows: Tensor
    starts: Tensor
    stops: Tensor


@dataclass(kw_only=True)
class PromptDataset(Dataset):
    """num_outputs is the size of the vocabulary.

    verifier            see lossbench/verifiers/
    completion_length   the most tokens of a completion, its end included
    end                 the token that ends a completion
    samples             null: there are none
    """

    verifier: Callable[[Tensor, Tensor], Tensor]
    completion_length: int
    end: int
    tokenizer: Tokenizer
    samples: Samples | None = None


def padded(rows: list[list[int]], value: int, width: int | None = None) -> Tensor:
    """[n, width or that of the longest] the rows, padded behind."""
    width = max(map(len, rows), default=0) if width is None else width
    return torch.tensor([row + [value] * (width - len(row)) for row in rows]).reshape(len(rows), width)


def prompts_of(prompts: list[list[int]], answers: Tensor, end: int, width: int | None = None) -> Split:
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    return Split(padded(prompts, end, width), {"prompt_lengths": lengths, "answers": answers})


def splits_of(prompts: list[list[int]], answers: Tensor, end: int, width: int) -> tuple[Split, Split, Split]:
    """Train, validation and test, in the order of the prompts."""
    train, validation, _ = three_parts(len(prompts))
    places = [slice(train), slice(train, train + validation), slice(train + validation, None)]
    first, second, third = (prompts_of(prompts[own], answers[own], end, width) for own in places)
    return first, second, third


def samples_of(prompts: list[list[int]], completions: list[list[int]], end: int, width: int) -> Samples:
    """The completions without their end token, which is set behind them."""
    rows = padded([[*p, *c, end] for p, c in zip(prompts, completions, strict=True)], end, width)
    starts = torch.tensor([len(prompt) for prompt in prompts])
    return Samples(rows, starts, starts + torch.tensor([len(completion) + 1 for completion in completions]))


def three_parts(number: int) -> tuple[int, int, int]:
    """80 % train, 10 % validation, 10 % test."""
    tenth = number // 10
    return number - 2 * tenth, tenth, tenth
