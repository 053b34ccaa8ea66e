"""Countdown prompts: write an expression of the given numbers, each once, whose value is the goal.

    3 5 2 : 1 3 = 3 + 5 * 2 .        + - *, products before sums; most questions have several answers

Task      rlvr
Source    made here, after the game; as a task for language models: Gandhi et al. 2024, arXiv:2404.03683
Licence   made here
Inputs    token indices of a prompt: numbers from 1 to 9 a token each, a colon, the digits of the goal, an equals sign
Answers   the numbers and the goal; the verifier is countdown. Every goal can be had, and is from 0 to 99
Splits    80 % train, 10 % validation, 10 % test, no question twice
Samples   sequences for a policy to start from: expressions of the numbers in a random order with random signs; a part
          ``sample_accuracy`` of them has the goal in its prompt, the others another question's
"""

from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator, Tensor

from lossbench.datasets.prompts import PromptDataset, samples_of, splits_of
from lossbench.datasets.tokenizers import symbols
from lossbench.verifiers.countdown import countdown, value_of

NAMES = [*map(str, range(10)), "+", "-", "*", ":", "=", "."]
PLUS, MINUS, TIMES, COLON, EQUALS, END = range(10, 16)
LARGEST_GOAL = 99


def countdown_prompts(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(10)] = 2000,
    numbers: Annotated[int, Interval(ge=2, le=6)] = 3,
    num_samples: Annotated[int, Ge(1)] = 20000,
    sample_accuracy: Annotated[float, Interval(ge=0, le=1)] = 0.5,
) -> PromptDataset:
    """generator draws questions, splits and samples.

    numbers   of a question
    """
    given, expressions, goals = _questions(6 * num_examples, numbers, generator)
    asked = torch.cat([given, goals.unsqueeze(1)], 1)
    rows = [*dict.fromkeys(map(tuple, asked.tolist()))][:num_examples]
    width = numbers + 4
    train, validation, test = splits_of([_prompt(row) for row in rows], torch.tensor(rows), END, width)
    given, expressions, goals = _questions(num_samples, numbers, generator)
    other = goals[torch.randperm(len(goals), generator=generator)]
    right = torch.rand(len(goals), generator=generator) < sample_accuracy
    shown = torch.cat([given, torch.where(right, goals, other).unsqueeze(1)], 1)
    return PromptDataset(
        train,
        validation,
        test,
        num_outputs=len(NAMES),
        class_names=NAMES,
        verifier=partial(countdown, plus=PLUS, minus=MINUS, times=TIMES, end=END),
        completion_length=2 * numbers,
        end=END,
        tokenizer=symbols(NAMES),
        samples=samples_of(
            [_prompt(tuple(row)) for row in shown.tolist()], expressions.tolist(), END, width + 2 * numbers
        ),
    )


def _prompt(row: tuple[int, ...]) -> list[int]:
    *numbers, goal = row
    return [*numbers, COLON, *map(int, str(goal)), EQUALS]


def _questions(number: int, numbers: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers [n, numbers], an expression of them in another order [n, 2 numbers - 1], its value [n]; those whose value
    is from 0 to 99."""
    given = torch.randint(1, 10, (number, numbers), generator=generator)
    order = torch.rand((number, numbers), generator=generator).argsort(1)
    written = given.gather(1, order)
    signs = torch.randint(PLUS, TIMES + 1, (number, numbers - 1), generator=generator)
    expressions = torch.empty((number, 2 * numbers - 1), dtype=torch.long)
    expressions[:, 0::2], expressions[:, 1::2] = written, signs
    goals = value_of(written, signs, minus=MINUS, times=TIMES)
    kept = (goals >= 0) & (goals <= LARGEST_GOAL)
    return given[kept], expressions[kept], goals[kept]
