"""How far off the numbers of a language model are, digit by digit, where its tokens are digits."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.metrics.ranking import precise


def number_values(dataset: Dataset) -> Float[Tensor, "C"]:
    """The number that each token stands for, NaN where its text is no number: '7' and ' 42' are, '-', '7a' are not."""
    tokenizer = getattr(dataset, "tokenizer", None)
    if dataset.class_names:
        texts = list(dataset.class_names)
    elif tokenizer is not None:
        texts = [tokenizer.decode([token]) for token in range(dataset.num_outputs)]
    else:
        texts = [""] * dataset.num_outputs
    stripped = [text.strip() for text in texts]
    return torch.tensor([float(t) if t.isascii() and t.isdecimal() else torch.nan for t in stripped])


def number_mae(
    predicted: Int[Tensor, "N T"],
    targets: Int[Tensor, "N T"],
    mask: Bool[Tensor, "N T"],
    number_values: Float[Tensor, "C"],
) -> Float[Tensor, ""]:
    """Mean of |likeliest token's number - target's number| over the targets that are numbers and count.

    A token that is no number is as far off as any number can be: the range of all of them. NaN where no target is one.
    """
    values = precise(number_values)
    known = ~values.isnan()
    largest = torch.where(known, values, -torch.inf).amax()
    smallest = torch.where(known, values, torch.inf).amin()
    counts = mask & known[targets]
    off = torch.where(known[predicted], (values[predicted] - values[targets]).abs(), largest - smallest)
    return torch.where(counts, off, 0.0).sum() / counts.sum()
