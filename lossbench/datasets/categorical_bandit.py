"""Categorical bandit: one prompt, whose completions are single symbols on a line, and a reward with a peak.

    data      p(y) ~ exp(-(y - m)^2 / (2 (spread C)^2))             m: the middle of 0 ... C - 1
    reward    r(y) = height exp(-(y - peak)^2 / (2 (width C)^2))    peak = m + distance spread C, rounded
    P(y before y') = sigmoid(r(y) - r(y'))

distance says how many standard deviations of the data the peak lies off: near 0 it is where most completions are, for 2
and more where there are hardly any.

Task      preference, online_preference
Source    made here; the setting of the didactic bandits of Tajwar et al. 2024, arXiv:2404.14367, whose numbers are not
          these
Licence   made here
Inputs    [2, 1] the prompt, of a pair of completions
Splits    drawn independently: num_examples of training, 1,000 pairs for validation, 2,000 for test
Facts     truth: all completions with their rewards
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Generator

from lossbench.datasets.dataset import Split
from lossbench.datasets.preferences import PreferenceDataset, Truth, margins_of, split_of

VALIDATION_PAIRS, TEST_PAIRS = 1000, 2000


def categorical_bandit(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(2)] = 2000,
    num_symbols: Annotated[int, Ge(2)] = 100,
    spread: Annotated[float, Gt(0)] = 0.15,
    distance: float = 2.0,
    width: Annotated[float, Gt(0)] = 0.05,
    height: Annotated[float, Gt(0)] = 5.0,
    num_samples: Annotated[int, Ge(2)] = 4000,
) -> PreferenceDataset:
    """generator draws completions and preferences.

    num_examples   training pairs
    num_symbols    C
    spread         standard deviation of the data, as a part of C
    distance       of the peak from the middle, in standard deviations of the data
    width          of the peak, as a part of C
    height         reward at the peak, in log-odds
    num_samples    completions without preferences, of which the reference policy learns: variant completions
    """
    places = torch.arange(num_symbols, dtype=torch.float64)
    middle = (num_symbols - 1) / 2
    peak = round(min(max(middle + distance * spread * num_symbols, 0), num_symbols - 1))
    log_p = (-((places - middle) ** 2) / (2 * (spread * num_symbols) ** 2)).log_softmax(0)
    rewards = height * (-((places - peak) ** 2) / (2 * (width * num_symbols) ** 2)).exp()

    def split(n: int) -> Split:
        drawn = torch.multinomial(log_p.exp(), 2 * n, replacement=True, generator=generator).view(n, 2)
        scores = rewards[drawn]
        stays = torch.rand(n, generator=generator, dtype=torch.float64) < (scores[:, 0] - scores[:, 1]).sigmoid()
        order = torch.stack([~stays, stays], 1).long()
        drawn, scores = drawn.gather(1, order), scores.gather(1, order)
        rows = torch.stack([torch.zeros_like(drawn), drawn], -1)
        known = {"reward_margins": margins_of(scores), "prompt_ids": torch.zeros(n, dtype=torch.long)}
        return split_of(rows, torch.ones_like(drawn), torch.full_like(drawn, 2), known)

    train, validation, test = split(num_examples), split(VALIDATION_PAIRS), split(TEST_PAIRS)
    samples = torch.multinomial(log_p.exp(), num_samples, replacement=True, generator=generator)
    return PreferenceDataset(
        train,
        validation,
        test,
        num_outputs=num_symbols,
        class_names=[str(y) for y in range(num_symbols)],
        samples=(torch.stack([torch.zeros_like(samples), samples], 1), 1),
        truth=Truth(
            torch.zeros((1, 1), dtype=torch.long),
            torch.arange(num_symbols).unsqueeze(1),
            rewards.unsqueeze(0),
            log_p.unsqueeze(0),
        ),
    )
