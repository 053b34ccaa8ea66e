"""Arithmetic prompts: sums and differences, of which a verifier knows whether they are right.

    7 + 1 5 = 2 2 .        numbers from 0 to ``largest``, no leading zeros; differences are not negative

Task      rlvr
Source    made here
Licence   made here
Inputs    token indices of a prompt, a token a digit or sign
Answers   the digits of the result and the full stop; the verifier is exact_match
Splits    all questions there are, or ``num_examples`` of them: 80 % train, 10 % validation, 10 % test
Samples   sequences for a policy to start from, of all questions: a part ``sample_accuracy`` of the results is right,
          the others are those of other questions
"""

from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator

from lossbench.datasets.prompts import PromptDataset, padded, samples_of, splits_of
from lossbench.datasets.tokenizers import symbols
from lossbench.verifiers.exact_match import exact_match

NAMES = [*map(str, range(10)), "+", "-", "=", "."]
END = NAMES.index(".")


def arithmetic_prompts(
    *,
    generator: Generator,
    largest: Annotated[int, Interval(ge=1, le=999)] = 19,
    num_examples: Annotated[int, Ge(10)] | None = None,
    num_samples: Annotated[int, Ge(1)] = 20000,
    sample_accuracy: Annotated[float, Interval(ge=0, le=1)] = 0.5,
) -> PromptDataset:
    """generator draws the splits and the samples.

    largest        number of a question
    num_examples   null: all questions
    """
    size = largest + 1
    codes = torch.randperm(2 * size * size, generator=generator)
    first, second, sign = codes // 2 // size, codes // 2 % size, codes % 2
    kept = (sign == 0) | (first >= second)
    questions = [*zip(first[kept].tolist(), second[kept].tolist(), sign[kept].tolist(), strict=True)]
    prompts = [_tokens(f"{a}{'+-'[s]}{b}=") for a, b, s in questions]
    results = [_tokens(str(a - b if s else a + b)) for a, b, s in questions]
    width, completion_length = 2 * len(str(largest)) + 2, len(str(2 * largest)) + 1
    used = len(prompts) if num_examples is None else min(num_examples, len(prompts))
    answers = padded(results, END, completion_length)
    train, validation, test = splits_of(prompts[:used], answers[:used], END, width)
    asked = torch.randint(len(prompts), (num_samples,), generator=generator)
    other = torch.randint(len(prompts), (num_samples,), generator=generator)
    right = torch.rand(num_samples, generator=generator) < sample_accuracy
    written = torch.where(right, asked, other).tolist()
    return PromptDataset(
        train,
        validation,
        test,
        num_outputs=len(NAMES),
        class_names=NAMES,
        verifier=partial(exact_match, end=END),
        completion_length=completion_length,
        end=END,
        tokenizer=symbols(NAMES),
        samples=samples_of(
            [prompts[i] for i in asked.tolist()], [results[i] for i in written], END, width + completion_length
        ),
    )


def _tokens(text: str) -> list[int]:
    return [NAMES.index(character) for character in text]
