"""Copying: random symbols, a pause, and the symbols again; only the repetition counts.

    a c b b . . > a c b b          4 symbols, a delay of 2

Source    made here; the task of Graves et al. 2014, arXiv:1410.5401, with the pause of Arjovsky et al. 2016,
          arXiv:1511.06464
Inputs    [2 length + delay] token indices; targets are the tokens after them, mask is true on the repetition
Splits    80 % train, 10 % validation, 10 % test, no sequence twice
"""

from typing import Annotated

from annotated_types import Ge, Interval
from torch import Generator

from lossbench.datasets.sequences import repetitions
from lossbench.datasets.tokens import TokenDataset


def copying(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(10)] = 5000,
    length: Annotated[int, Ge(1)] = 10,
    num_symbols: Annotated[int, Interval(ge=2, le=26)] = 8,
    delay: Annotated[int, Ge(0)] = 0,
) -> TokenDataset:
    """generator draws the symbols and the split.

    num_examples   sequences in all; fewer where symbols are drawn twice
    length         symbols of a sequence
    num_symbols    different ones
    delay          pauses between the symbols and the sign that asks for them
    """
    return repetitions(generator, num_examples, length, num_symbols, delay=delay, reverse=False)
