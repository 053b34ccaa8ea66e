"""Last number: 1 where the last number of a completion's text equals the last number of the answer's.

As answers of GSM8K are judged: its answers end in '#### 18', a model's in whatever words. Commas between thousands and
a trailing full stop do not count; 18 is 18.0.
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal

import torch
from jaxtyping import Float, Int
from torch import Tensor

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


def last_number(
    completions: Int[Tensor, "N T"], answers: Int[Tensor, "N A"], *, decode: Callable[[Sequence[int]], str], end: int
) -> Float[Tensor, "N"]:
    """decode   of the tokenizer
    end      the token behind a text, in every place from its end on
    """
    found, wanted = (
        [number_of(decode([token for token in row if token != end])) for row in rows.tolist()]
        for rows in (completions, answers)
    )
    right = [a is not None and a == b for a, b in zip(found, wanted, strict=True)]
    return torch.tensor(right, device=completions.device).float()


def number_of(text: str) -> Decimal | None:
    """The last number of a text; None where there is none."""
    written = NUMBER.findall(text)
    return Decimal(written[-1].replace(",", "")) if written else None
