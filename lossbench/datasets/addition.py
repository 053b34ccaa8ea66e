"""Addition: two numbers and their sum, a token a digit; only the sum counts.

    0 4 7 + 9 8 5 = 1 0 3 2          3 digits

Source    made here; digits in either order as in Lee et al. 2023, arXiv:2307.03381
Inputs    [3 digits + 2] token indices; targets are the tokens after them, mask is true on the sum
Splits    80 % train, 10 % validation, 10 % test, no pair of numbers twice
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator, Tensor

from lossbench.datasets.sequences import dataset_of_sequences, distinct
from lossbench.datasets.tokens import TokenDataset
from lossbench.errors import UsageError

NAMES = [*map(str, range(10)), "+", "="]


def addition(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(10)] = 5000,
    digits: Annotated[int, Interval(ge=1, le=9)] = 3,
    least_significant_first: bool = False,
) -> TokenDataset:
    """generator draws the numbers and the split.

    num_examples             sums in all; fewer where a pair is drawn twice
    digits                   of each summand, with leading zeros; the sum has one more
    least_significant_first  of the sum: the order in which it is computed by hand
    """
    if 100**digits < num_examples:
        raise UsageError(
            f"dataset: there are only {100**digits} pairs of numbers of {digits} digits. Give more dataset.digits, or "
            f"at most dataset.num_examples={100**digits}."
        )
    if num_examples * 2 >= 100**digits:  # all pairs are drawn from
        codes = torch.randperm(100**digits, generator=generator)[:num_examples]
    else:
        codes = torch.randint(100**digits, (num_examples,), generator=generator)
    pairs = distinct(torch.stack([codes // 10**digits, codes % 10**digits], 1), generator)
    total = _digits(pairs.sum(1), digits + 1)
    first, second = (_digits(numbers, digits) for numbers in pairs.unbind(1))
    plus, equals = (torch.full((len(pairs), 1), NAMES.index(sign)) for sign in "+=")
    rows = torch.cat([first, plus, second, equals, total.flip(1) if least_significant_first else total], 1)
    return dataset_of_sequences(rows, 2 * digits + 2, NAMES, generator)


def _digits(numbers: Tensor, count: int) -> Tensor:
    """[n, count] decimal digits, the most significant first."""
    return numbers.unsqueeze(1) // 10 ** torch.arange(count - 1, -1, -1) % 10
