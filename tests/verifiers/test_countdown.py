import itertools

import torch

from lossbench.datasets.countdown_prompts import END, MINUS, NAMES, PLUS, TIMES
from lossbench.verifiers.countdown import countdown, value_of

SIGNS = {"plus": PLUS, "minus": MINUS, "times": TIMES, "end": END}


def verified(text: str, numbers: list[int], goal: int) -> bool:
    tokens = [NAMES.index(character) for character in text]
    row = torch.tensor([tokens + [END] * (8 - len(tokens))])
    return bool(countdown(row, torch.tensor([[*numbers, goal]]), **SIGNS))


def test_hand():
    assert verified("3+5*2.", [3, 5, 2], 13)
    assert verified("5*2+3.", [3, 5, 2], 13)
    assert not verified("3+5*2.", [3, 5, 2], 16)  # products come first
    assert not verified("3+5+5.", [3, 5, 2], 13)  # 5 twice, 2 not at all
    assert not verified("8+5.", [3, 5, 2], 13)
    assert not verified("3+5*2+", [3, 5, 2], 13)  # does not end
    assert not verified("3+5*2=", [3, 5, 2], 13)
    assert not verified("35*2+.", [3, 5, 2], 13)
    assert not verified(".", [3, 5, 2], 13)


def test_oracle():  # Python's own evaluation of all expressions of some numbers
    for numbers in ((3, 5, 2), (9, 9, 1), (1, 2, 3, 4)):
        for order in set(itertools.permutations(numbers)):
            for signs in itertools.product("+-*", repeat=len(numbers) - 1):
                text = "".join(map(str, [*itertools.chain(*zip(order, signs, strict=False)), order[-1]]))
                written, chosen = torch.tensor([order]), torch.tensor([[NAMES.index(sign) for sign in signs]])
                assert value_of(written, chosen, minus=MINUS, times=TIMES) == eval(text)


def test_too_short_to_be_an_expression():
    assert countdown(torch.full((2, 3), END), torch.tensor([[1, 2, 3], [1, 2, 3]]), **SIGNS).tolist() == [0, 0]
