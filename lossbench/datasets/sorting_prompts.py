"""Sorting prompts: put different symbols into their order; a verifier knows whether that was done.

    d a c > a c d .

Task      rlvr
Source    made here
Licence   made here
Inputs    token indices of a prompt: between ``shortest`` and ``longest`` symbols, every number as often, and the sign >
Answers   the symbols in order and the full stop; the verifier is exact_match
Splits    80 % train, 10 % validation, 10 % test, no prompt twice
Samples   sequences for a policy to start from, with prompts of their own: a part ``sample_accuracy`` of them is right,
          the others have the symbols as they are, or turned round where they were in order
"""

from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator

from lossbench.datasets.prompts import PromptDataset, padded, samples_of, splits_of
from lossbench.datasets.sequences import letters
from lossbench.datasets.tokenizers import symbols
from lossbench.errors import UsageError
from lossbench.verifiers.exact_match import exact_match


def sorting_prompts(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(10)] = 2000,
    num_symbols: Annotated[int, Interval(ge=2, le=26)] = 8,
    shortest: Annotated[int, Ge(2)] = 2,
    longest: Annotated[int, Ge(2)] = 5,
    num_samples: Annotated[int, Ge(1)] = 20000,
    sample_accuracy: Annotated[float, Interval(ge=0, le=1)] = 0.5,
) -> PromptDataset:
    """generator draws prompts, splits and samples."""
    if not shortest <= longest <= num_symbols:
        raise UsageError(
            f"dataset.shortest={shortest}, dataset.longest={longest}: prompts have different symbols, of which there "
            f"are dataset.num_symbols={num_symbols}. Give shortest <= longest <= num_symbols."
        )
    names = [*letters(num_symbols), ">", "."]
    sign, end = num_symbols, num_symbols + 1
    drawn = _drawn(3 * num_examples, num_symbols, shortest, longest, generator)
    prompts = [list(prompt) for prompt in [*dict.fromkeys(map(tuple, drawn))][:num_examples]]  # fewer where few exist
    answers = padded([sorted(prompt) for prompt in prompts], end, longest + 1)
    asked = [[*prompt, sign] for prompt in prompts]
    train, validation, test = splits_of(asked, answers, end, longest + 1)
    drawn = _drawn(num_samples, num_symbols, shortest, longest, generator)
    right = (torch.rand(num_samples, generator=generator) < sample_accuracy).tolist()
    written = [sorted(p) if is_right else _wrong(p) for p, is_right in zip(drawn, right, strict=True)]
    return PromptDataset(
        train,
        validation,
        test,
        num_outputs=len(names),
        class_names=names,
        verifier=partial(exact_match, end=end),
        completion_length=longest + 1,
        end=end,
        tokenizer=symbols(names),
        samples=samples_of([[*prompt, sign] for prompt in drawn], written, end, 2 * longest + 2),
    )


def _drawn(number: int, num_symbols: int, shortest: int, longest: int, generator: Generator) -> list[list[int]]:
    """Different symbols in a random order; every length as often."""
    lengths = torch.randint(shortest, longest + 1, (number,), generator=generator).tolist()
    orders = torch.rand((number, num_symbols), generator=generator, dtype=torch.float64).argsort(1).tolist()
    return [order[:length] for order, length in zip(orders, lengths, strict=True)]


def _wrong(prompt: list[int]) -> list[int]:
    """The symbols in the order of the prompt, which is random; turned round where that is the right one."""
    return prompt if prompt != sorted(prompt) else prompt[::-1]
