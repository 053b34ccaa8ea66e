from decimal import Decimal

import pytest
import torch

from lossbench.datasets.tokenizers import tokenizer_of
from lossbench.verifiers.last_number import last_number, number_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so she has 3 + 4 = 7 apples.", 7),
        ("#### 1,234", 1234),
        ("it costs $2.50.", "2.5"),
        ("-3", -3),
        ("18.0", 18),
        ("no number", None),
        ("", None),
    ],
)
def test_hand(text, number):
    assert number_of(text) == (None if number is None else Decimal(number))


def test_texts_are_compared_by_their_last_numbers():
    tokenizer = tokenizer_of("bytes")

    def rows(*texts):
        width = max(map(len, texts)) + 1
        return torch.tensor([[*text.encode(), *[0] * (width - len(text))] for text in texts])

    found = last_number(
        rows("5 and 6 make 11.", "11", "it is 12", "nothing"),
        rows("#### 11", "#### 11.0", "#### 11", "#### 11"),
        decode=tokenizer.decode,
        end=0,
    )
    assert found.tolist() == [1, 1, 0, 0]


def test_an_answer_without_a_number_is_never_right():
    tokenizer = tokenizer_of("bytes")
    row = torch.tensor([[*b"none"]])
    assert last_number(row, row, decode=tokenizer.decode, end=0) == 0
