"""Digit prompts: which digit is on the picture; a hint in the text is often right.

    d a c b ... 7 ? 3 .        16 grey tokens, from top left, a hint, and the sign ?

Task      rlvr, and picture_rlvr, which knows where the picture is
Source    made here, of the images of dataset=digits; the hints are drawn
Licence   CC BY 4.0 (UCI)
Inputs    token indices of a prompt. The picture is 8x8 pixels, the mean of each 2x2 block in one of four greys
Answers   the digit and the full stop; the verifier is exact_match
Splits    80 % train, 10 % validation, 10 % test of the images; of equal pictures the first one is kept
Samples   sequences for a policy to start from, of training images with hints of their own: a part ``sample_accuracy``
          of them is right, the others say what the hint says, or another digit where the hint is right
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator, Tensor

from lossbench.datasets.bundled import bundled
from lossbench.datasets.prompts import PromptDataset, samples_of, splits_of, three_parts
from lossbench.datasets.tokenizers import symbols
from lossbench.verifiers.exact_match import exact_match

NAMES = [*"abcd", "#", *map(str, range(10)), "?", "."]
HIDDEN, ZERO, SIGN, END = 4, 5, 15, 16
GREYS, BRIGHTEST = 4, 16


@dataclass(kw_only=True)
class PictureDataset(PromptDataset):
    """picture_length   tokens of the picture, with which a prompt begins
    hidden           the token in the place of one that is not to be seen
    """

    picture_length: int
    hidden: int


def digit_prompts(
    *,
    generator: Generator,
    hint_accuracy: Annotated[float, Interval(ge=0, le=1)] = 0.5,
    num_samples: Annotated[int, Ge(1)] = 20000,
    sample_accuracy: Annotated[float, Interval(ge=0, le=1)] = 0.5,
) -> PictureDataset:
    """generator draws hints, splits and samples.

    hint_accuracy   part of the hints that are right; the others are other digits
    """
    table = torch.from_numpy(bundled("digits.csv.gz"))
    pictures, digits = _pictures(table[:, :-1]), table[:, -1].long()
    first = list({tuple(picture): i for i, picture in reversed([*enumerate(pictures.tolist())])}.values())
    order = torch.tensor(first)[torch.randperm(len(first), generator=generator)]
    pictures, digits = pictures[order], digits[order]
    hints = _right_or_not(digits, hint_accuracy, generator)
    answers = torch.stack([ZERO + digits, torch.full_like(digits, END)], 1)
    width = pictures.shape[1] + 2
    train, validation, test = splits_of(_prompts(pictures, hints), answers, END, width)
    shown = torch.randint(three_parts(len(digits))[0], (num_samples,), generator=generator)
    hints = _right_or_not(digits[shown], hint_accuracy, generator)
    wrong = torch.where(hints == digits[shown], _right_or_not(digits[shown], 0.0, generator), hints)
    right = torch.rand(num_samples, generator=generator) < sample_accuracy
    written = ZERO + torch.where(right, digits[shown], wrong)
    return PictureDataset(
        train,
        validation,
        test,
        num_outputs=len(NAMES),
        class_names=NAMES,
        verifier=partial(exact_match, end=END),
        completion_length=2,
        end=END,
        tokenizer=symbols(NAMES),
        samples=samples_of(_prompts(pictures[shown], hints), written.unsqueeze(1).tolist(), END, width + 2),
        picture_length=pictures.shape[1],
        hidden=HIDDEN,
    )


def _pictures(pixels: Tensor) -> Tensor:
    """[n, 16] greys of the 2x2 blocks of images of 8x8 pixels, row by row."""
    blocks = pixels.view(-1, 4, 2, 4, 2).mean((2, 4)).flatten(1)
    return (blocks * GREYS / BRIGHTEST).long().clamp(max=GREYS - 1)


def _right_or_not(digits: Tensor, part: float, generator: Generator) -> Tensor:
    """The digits, but for a part of 1 - part, which are others."""
    other = (digits + torch.randint(1, 10, digits.shape, generator=generator)) % 10
    return torch.where(torch.rand(digits.shape, generator=generator) < part, digits, other)


def _prompts(pictures: Tensor, hints: Tensor) -> list[list[int]]:
    ends = torch.stack([ZERO + hints, torch.full_like(hints, SIGN)], 1)
    return torch.cat([pictures, ends], 1).tolist()
