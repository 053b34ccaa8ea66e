"""Reversal: random symbols, and the same symbols from the last to the first; only these count.

    a c b b > b b c a

Source    made here
Inputs    [2 length] token indices; targets are the tokens after them, mask is true on the answer
Splits    80 % train, 10 % validation, 10 % test, no sequence twice
"""

from typing import Annotated

from annotated_types import Ge, Interval
from torch import Generator

from lossbench.datasets.sequences import repetitions
from lossbench.datasets.tokens import TokenDataset


def reversal(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(10)] = 5000,
    length: Annotated[int, Ge(1)] = 10,
    num_symbols: Annotated[int, Interval(ge=2, le=26)] = 8,
) -> TokenDataset:
    """generator draws the symbols and the split.

    num_examples   sequences in all; fewer where symbols are drawn twice
    length         symbols of a sequence
    num_symbols    different ones
    """
    return repetitions(generator, num_examples, length, num_symbols, delay=0, reverse=True)
