"""What the synthetic data sets of sequences share: rows of tokens, of which a part is asked for."""

import torch
from torch import Generator, Tensor

from lossbench.datasets.dataset import Split
from lossbench.datasets.tokenizers import symbols
from lossbench.datasets.tokens import TokenDataset
from lossbench.errors import UsageError


def dataset_of_sequences(
    rows: Tensor, answer: int, names: list[str], generator: Generator, entropy_rate: float | None = None
) -> TokenDataset:
    """80 % of the rows train, 10 % validation, 10 % test, drawn by the generator.

    rows     [n, T + 1] tokens; inputs are all but the last, targets all but the first
    answer   the first place of a row that counts as a target: what is before cannot be known
    names    of the tokens
    """
    counts = torch.arange(1, rows.shape[1]) >= answer
    order = torch.randperm(len(rows), generator=generator)
    tenth = len(rows) // 10
    parts = order.split([len(rows) - 2 * tenth, tenth, tenth])
    train, validation, test = (
        Split(own[:, :-1], {"targets": own[:, 1:], "mask": counts.expand(len(own), -1).contiguous()})
        for own in (rows[part] for part in parts)
    )
    return TokenDataset(
        train,
        validation,
        test,
        num_outputs=len(names),
        class_names=names,
        tokenizer=symbols(names),
        entropy_rate=entropy_rate,
    )


def distinct(rows: Tensor, generator: Generator) -> Tensor:
    """The rows without repetitions, in a random order: no sequence is in two splits."""
    unique = rows.unique(dim=0)
    return unique[torch.randperm(len(unique), generator=generator)]


def repetitions(
    generator: Generator, num_examples: int, length: int, num_symbols: int, *, delay: int, reverse: bool
) -> TokenDataset:
    """Random symbols, pauses, a sign, and the symbols again, in their order or from the last to the first."""
    if num_symbols**length < 2 * num_examples:
        raise UsageError(
            f"dataset: there are only {num_symbols**length} sequences of {length} of {num_symbols} symbols. Give a "
            f"longer dataset.length, or at most dataset.num_examples={num_symbols**length // 2}."
        )
    names = [*letters(num_symbols), ".", ">"]
    drawn = distinct(torch.randint(num_symbols, (num_examples, length), generator=generator), generator)
    pause, sign = (torch.full((len(drawn), n), names.index(what)) for n, what in ((delay, "."), (1, ">")))
    rows = torch.cat([drawn, pause, sign, drawn.flip(1) if reverse else drawn], 1)
    return dataset_of_sequences(rows, length + delay + 1, names, generator)


def letters(number: int) -> list[str]:
    return [chr(ord("a") + i) for i in range(number)]
