"""Countdown: 1 where a completion is an expression of the given numbers, each used once, whose value is the goal.

Numbers and the signs +, -, * stand in turn; products come before sums, there are no brackets.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def countdown(
    completions: Int[Tensor, "N T"], answers: Int[Tensor, "N A"], *, plus: int, minus: int, times: int, end: int
) -> Float[Tensor, "N"]:
    """answers   the numbers, whose tokens are the numbers themselves, and the goal
    plus, minus, times, end   tokens
    """
    numbers, goal = answers[:, :-1], answers[:, -1]
    length = 2 * numbers.shape[1] - 1
    if completions.shape[1] <= length:
        return torch.zeros(len(completions), device=completions.device)
    written, signs = completions[:, 0:length:2], completions[:, 1:length:2]
    signs_there = ((signs == plus) | (signs == minus) | (signs == times)).all(1)
    each_once = (written.sort(1).values == numbers.sort(1).values).all(1)
    value = value_of(written, signs, minus=minus, times=times)
    right = signs_there & each_once & (completions[:, length] == end) & (value == goal)
    return right.float()


def value_of(numbers: Int[Tensor, "N K"], signs: Int[Tensor, "N K-1"], *, minus: int, times: int) -> Int[Tensor, "N"]:
    """The value of numbers with signs between them; what is neither minus nor times is plus."""
    total, product = torch.zeros_like(numbers[:, 0]), numbers[:, 0]
    for sign, number in zip(signs.unbind(1), numbers[:, 1:].unbind(1), strict=True):
        multiplies = sign == times
        total = torch.where(multiplies, total, total + product)
        product = torch.where(multiplies, product * number, torch.where(sign == minus, -number, number))
    return total + product
