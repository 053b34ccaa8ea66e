"""Markov source: each symbol is drawn given the ones before it, from a table drawn once; its entropy rate is known.

    P(x_t = j | x_{t-order} ... x_{t-1} = s) = table[s, j]        table[s] ~ Dirichlet(concentration)
    entropy_rate = sum_s pi_s sum_j -table[s, j] log table[s, j]        pi: the stationary distribution of the states s

Source    made here; the formula: Shannon 1948
Inputs    [block_length] token indices, from the stationary distribution; targets are the tokens after them. The first
          order - 1 targets of a block lack a part of their context, so they do not count: mask
Splits    blocks drawn independently: 80 % train, 10 % validation, 10 % test
Facts     entropy_rate: nats per counted token that no model can get below, on average; transitions: the table
"""

from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Interval
from torch import Generator, Tensor

from lossbench.datasets.sequences import dataset_of_sequences, letters
from lossbench.datasets.tokens import TokenDataset
from lossbench.errors import UsageError

MOST_STATES = 2**16


def markov_source(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(10)] = 5000,
    block_length: Annotated[int, Ge(1)] = 64,
    num_symbols: Annotated[int, Interval(ge=2, le=26)] = 8,
    order: Annotated[int, Ge(1)] = 1,
    concentration: Annotated[float, Gt(0)] = 0.5,
) -> TokenDataset:
    """generator draws the table, the blocks and the split.

    num_examples    blocks in all
    block_length    tokens of a block
    num_symbols     different ones
    order           symbols before it that a symbol depends on
    concentration   of each row of the table: small gives a source that is easy to predict
    """
    states = num_symbols**order
    if states > MOST_STATES:
        raise UsageError(
            f"dataset.order={order}: {num_symbols} symbols make {states} states; at most {MOST_STATES} are possible. "
            "Give a smaller order, or fewer num_symbols."
        )
    if block_length < order:
        raise UsageError(f"dataset.block_length={block_length} is below dataset.order={order}. Give a longer block.")
    table = _dirichlet((states, num_symbols), concentration, generator)
    stationary = stationary_distribution(table)
    rows = torch.empty(num_examples, block_length + 1, dtype=torch.long)
    state = torch.multinomial(stationary, num_examples, replacement=True, generator=generator)
    for place in range(order):
        rows[:, place] = state // num_symbols ** (order - 1 - place) % num_symbols
    for place in range(order, rows.shape[1]):
        drawn = torch.multinomial(table[state], 1, generator=generator).squeeze(1)
        rows[:, place] = drawn
        state = (state * num_symbols + drawn) % states
    rate = -(stationary.unsqueeze(1) * torch.xlogy(table, table)).sum().item()
    dataset = dataset_of_sequences(rows, order, letters(num_symbols), generator, entropy_rate=rate)
    return replace(dataset, transitions=table)


def _dirichlet(shape: tuple[int, int], concentration: float, generator: Generator) -> Tensor:
    """Rows from Dirichlet(concentration, ..., concentration)."""
    larger = torch._standard_gamma(torch.full(shape, concentration + 1, dtype=torch.float64), generator=generator)
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    # Gamma(a) is Gamma(a + 1) U^(1 / a); in logarithms, because for a small a all of a row would underflow.
    return (larger.log() + uniform.log() / concentration).softmax(1)


def stationary_distribution(table: Tensor) -> Tensor:
    """[states]: the distribution that a step leaves as it is.

    table   [states, symbols]; the state after s and j is (s symbols + j) modulo states
    """
    states, symbols = table.shape
    after = (torch.arange(states).unsqueeze(1) * symbols + torch.arange(symbols)) % states
    found = torch.full((states,), 1 / states, dtype=table.dtype)
    for _ in range(10_000):
        new = torch.zeros_like(found).scatter_add_(0, after.flatten(), (found.unsqueeze(1) * table).flatten())
        new = (new + found) / 2  # half of the time it stays: the same fixed point, and no period
        if (new - found).abs().sum() < 1e-14:
            break
        found = new
    return found
