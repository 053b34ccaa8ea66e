"""Corrupted candidates: for each answer, several that come of it by random edits, with their quality.

number     candidates of each example
max_edits  each candidate has 0 to so many edits, all numbers equally likely: a token is left out, replaced, put in, or
           changes places with the next one, all four equally likely
Labels     candidates [n, number, T] as targets are, from where the answer begins; candidate_lengths [n, number], with
           the token that ends it; candidate_qualities [n, number], the overlap with the answer: the mean of the F1 of
           tokens and of pairs of neighbours
Splits     all have candidates, so that the order that a model gives them can be measured; inputs and targets stay
Source     made here; the quality is a mean of ROUGE-1 and ROUGE-2, as Liu et al. 2022, arXiv:2203.16804, use it with
           candidates of a model's own beam search
"""

import random
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError


def corrupted_candidates(
    dataset: Dataset,
    generator: Generator,
    *,
    number: Annotated[int, Ge(2)] = 6,
    max_edits: Annotated[int, Ge(1)] = 3,
) -> Dataset:
    targets, names = dataset.train.labels.get("targets"), list(dataset.class_names)
    if "." not in names or targets is None or targets.ndim != 2 or (targets[:, -1] != names.index(".")).any():
        raise UsageError(
            "variant=corrupted_candidates needs answers that end with a full stop. Choose dataset=key_symbols, or "
            "another variant."
        )
    chance = random.Random(int(torch.randint(2**62, (), generator=generator)))
    made = [
        _with_candidates(split, dataset, chance, number, max_edits)
        for split in (dataset.train, dataset.validation, dataset.test)
    ]
    return replace(dataset, train=made[0], validation=made[1], test=made[2])


def _with_candidates(split: Split, dataset: Dataset, chance: random.Random, number: int, max_edits: int) -> Split:
    from lossbench.metrics.overlap import length_before, overlap

    end = list(dataset.class_names).index(".")
    begin = int(split.labels["mask"].long().argmax(1)[0])
    answers = split.labels["targets"][:, begin:]
    alphabet = sorted(set(answers.flatten().tolist()) - {end})
    longest = answers.shape[1] - 1
    rows = []
    for answer, length in zip(answers.tolist(), length_before(answers, end).tolist(), strict=True):
        for _ in range(number):
            edited = _edited(answer[:length], chance.randint(0, max_edits), alphabet, chance)[:longest]
            rows.append(edited + [end] * (longest + 1 - len(edited)))
    candidates = torch.tensor(rows, dtype=answers.dtype).view(len(answers), number, -1)
    lengths = length_before(candidates, end)
    references = answers.unsqueeze(1).expand_as(candidates)
    qualities = overlap(candidates, lengths, references, length_before(references, end))
    labels: dict[str, Tensor] = {
        "candidates": candidates,
        "candidate_lengths": lengths + 1,
        "candidate_qualities": qualities.float(),
    }
    return Split(split.inputs, {**split.labels, **labels})


def _edited(tokens: list[int], edits: int, alphabet: list[int], chance: random.Random) -> list[int]:
    made = list(tokens)
    for _ in range(edits):
        what = chance.choice(("leave out", "replace", "put in", "swap"))
        place = chance.randrange(len(made)) if made else 0
        if what == "put in" or not made:
            made.insert(place, chance.choice(alphabet))
        elif what == "leave out":
            del made[place]
        elif what == "replace":
            made[place] = chance.choice(alphabet)
        elif place + 1 < len(made):
            made[place], made[place + 1] = made[place + 1], made[place]
    return made
