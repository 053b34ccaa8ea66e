"""Digit tokens: images of handwritten digits as sequences of grey levels, each behind a token that names its class.

Task      image_generation
Source    and licence, splits: those of dataset=digits, whose images they are, split alike by the same generator
Inputs    [64] token indices: 17 + class, then the first 63 pixels, row by row; a pixel is its grey level, 0..16
Targets   [64] the pixels: the tokens after the inputs
Facts     mean, std: of the pixels as grey levels, with which an encoder of the images standardises them
"""

import torch
from torch import Generator, Tensor

from lossbench.datasets.dataset import Split
from lossbench.datasets.digits import digits
from lossbench.datasets.tokenizers import symbols
from lossbench.datasets.tokens import TokenDataset

LEVELS = 17


def digit_tokens(*, generator: Generator) -> TokenDataset:
    """generator draws the split."""
    images = digits(generator=generator)

    def tokens(split: Split) -> Split:
        assert isinstance(split.inputs, Tensor)
        pixels, classes = split.inputs.flatten(1).long(), split.labels["targets"]
        return Split(torch.cat([LEVELS + classes.unsqueeze(1), pixels[:, :-1]], 1), {"targets": pixels})

    train, validation, test = (tokens(split) for split in (images.train, images.validation, images.test))
    tokenizer = symbols([*map(str, range(LEVELS)), *(f"class{c}" for c in range(images.num_outputs))])
    return TokenDataset(train, validation, test, tokenizer.size, mean=images.mean, std=images.std, tokenizer=tokenizer)
