"""Bradley-Terry: preferences between short sequences of symbols, from a reward that is known.

    r(x, y) = c sum_t a[y_t] + b[y_{t-1}, y_t]        y_0: the last symbol of the prompt x
    P(y before y' | x) = sigmoid(r(x, y) - r(x, y'))        rankings: Plackett-Luce, the best first

a and b are standard normal, c makes reward_scale the standard deviation of the reward between completions of one
prompt; then the reward has mean 0 for each prompt. Both are meant under the distribution that completions are drawn
from: a Markov chain whose rows are from Dirichlet(concentration).

Task      preference
Source    made here; the model: Bradley and Terry 1952, Plackett 1975
Licence   made here
Inputs    [R, T] of R completions of a prompt: prompt and completion, without their last symbol
Splits    drawn independently: num_examples of training, 1,000 pairs for validation, 2,000 for test. Every prompt has as
          many as any other, but for one. There are few completions, so that some are in several splits
Facts     truth: all completions with their rewards, from which the task computes expected reward, win rate and KL
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Split
from lossbench.datasets.preferences import PreferenceDataset, Truth, all_sequences, margins_of, split_of
from lossbench.datasets.sequences import letters
from lossbench.datasets.tokenizers import symbols
from lossbench.errors import UsageError

VALIDATION_PAIRS, TEST_PAIRS = 1000, 2000
MOST_COMPLETIONS = 2**20


def bradley_terry(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(2)] = 2000,
    num_symbols: Annotated[int, Interval(ge=2, le=26)] = 6,
    prompt_length: Annotated[int, Ge(1)] = 1,
    completion_length: Annotated[int, Ge(1)] = 4,
    completions: Annotated[int, Ge(2)] = 2,
    reward_scale: Annotated[float, Gt(0)] = 2.0,
    concentration: Annotated[float, Gt(0)] = 1.0,
    memory: bool = True,
    preferences: Literal["drawn", "better"] = "drawn",
    off_policy: Annotated[float, Interval(ge=0, le=1)] = 0.0,
    num_samples: Annotated[int, Ge(2)] = 4000,
) -> PreferenceDataset:
    """generator draws rewards, distributions, completions and preferences.

    num_examples       training pairs, or rankings
    num_symbols        different ones; they are the vocabulary
    prompt_length      symbols of a prompt; all prompts there are occur
    completion_length  symbols of a completion
    completions        of each training example: 2 are pairs, more are rankings
    reward_scale       standard deviation of the reward, in log-odds: larger is less noisy
    concentration      of the distribution of completions: small leaves most of them out
    memory             False: neither reward nor distribution of a symbol depends on the symbol before it
    preferences        better: the completion of higher reward is always preferred
    off_policy         part of the completions that come from another chain than the samples do
    num_samples        completions without preferences, of which the reference policy learns: variant completions
    """
    number = num_symbols**completion_length
    if number * num_symbols**prompt_length > MOST_COMPLETIONS:
        raise UsageError(
            f"dataset: {num_symbols} symbols make {num_symbols**prompt_length} prompts of {prompt_length} and {number} "
            f"completions of {completion_length}; at most {MOST_COMPLETIONS} together can be enumerated. Give fewer "
            "dataset.num_symbols, or a shorter dataset.completion_length."
        )
    prompts, ends = all_sequences(num_symbols, prompt_length), all_sequences(num_symbols, completion_length)
    own, other = (_chain(num_symbols, concentration, memory, prompts, ends, generator) for _ in range(2))
    mixed = (1 - off_policy) * own + off_policy * other
    single = torch.randn(num_symbols, generator=generator, dtype=torch.float64)
    adjacent = torch.randn((num_symbols, num_symbols), generator=generator, dtype=torch.float64)
    table = single.expand(num_symbols, -1) + (adjacent if memory else 0)
    rewards = _standardised(_sums(table, prompts, ends), mixed, reward_scale)

    def split(n: int, width: int) -> Split:
        asked = _balanced(n, len(prompts), generator)
        drawn = torch.multinomial(mixed[asked], width, replacement=True, generator=generator)
        scores = rewards[asked].gather(1, drawn)
        gumbel = -torch.rand(scores.shape, generator=generator, dtype=torch.float64).log_().neg_().log_()
        order = (scores if preferences == "better" else scores + gumbel).argsort(dim=1, descending=True, stable=True)
        drawn, scores = drawn.gather(1, order), scores.gather(1, order)
        rows = torch.cat([prompts[asked].unsqueeze(1).expand(-1, width, -1), ends[drawn]], -1)
        starts = torch.full((n, width), prompt_length)
        known = {"reward_margins": margins_of(scores), "prompt_ids": asked}
        return split_of(rows, starts, starts + completion_length, known)

    train, validation, test = split(num_examples, completions), split(VALIDATION_PAIRS, 2), split(TEST_PAIRS, 2)
    asked = _balanced(num_samples, len(prompts), generator)
    drawn = torch.multinomial(own[asked], 1, generator=generator).squeeze(1)
    names = letters(num_symbols)
    return PreferenceDataset(
        train,
        validation,
        test,
        num_outputs=num_symbols,
        class_names=names,
        tokenizer=symbols(names),
        samples=(torch.cat([prompts[asked], ends[drawn]], 1), prompt_length),
        truth=Truth(prompts, ends, rewards, mixed.log()),
    )


def _chain(
    num_symbols: int, concentration: float, memory: bool, prompts: Tensor, ends: Tensor, generator: Generator
) -> Tensor:
    """[P, Y] probability of each completion after each prompt, in a Markov chain whose table is drawn."""
    shape = (num_symbols, num_symbols)
    larger = torch._standard_gamma(torch.full(shape, concentration + 1, dtype=torch.float64), generator=generator)
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    # Gamma(a) is Gamma(a + 1) U^(1 / a); in logarithms, because for a small a all of a row would underflow.
    log_p = (larger.log() + uniform.log() / concentration).log_softmax(1)
    return _sums(log_p if memory else log_p[:1].expand(num_symbols, -1), prompts, ends).exp()


def _sums(table: Tensor, prompts: Tensor, ends: Tensor) -> Tensor:
    """[P, Y] sum of table[symbol before, symbol] over the symbols of each completion."""
    first = table[prompts[:, -1]][:, ends[:, 0]]
    return first + table[ends[:, :-1], ends[:, 1:]].sum(1)


def _standardised(rewards: Tensor, p: Tensor, scale: float) -> Tensor:
    """Mean 0 for each prompt, and the standard deviation ``scale`` between completions of a prompt."""
    centred = rewards - (p * rewards).sum(1, keepdim=True)
    return centred * scale / (p * centred.square()).sum(1).mean().sqrt()


def _balanced(number: int, kinds: int, generator: Generator) -> Tensor:
    """Every kind as often as any other, but for one, in a random order."""
    return (torch.randperm(number, generator=generator)) % kinds
