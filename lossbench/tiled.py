"""Sums over all pairs of a batch without the matrix of pairs: in tiles, forward and backward.

Everything here is exact: a tile's numbers are computed when they are needed, and again in the backward pass, so that
memory grows with the batch and the tile, not with the batch squared. A tile of None forms the whole matrix, which is
quicker where it fits. Where several processes have the same tensors, each of them computes a part of the rows.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor


class Crew(Protocol):
    """Processes that compute the same thing at the same time; see lossbench/distributed.py."""

    rank: int
    size: int

    def rows_of_all(self, tensor: Tensor) -> Tensor:
        """The rows of all processes, in their order."""

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""


_crew: Crew | None = None


@contextlib.contextmanager
def divided_among(crew: Crew) -> Iterator[None]:
    """Within: the rows of a tiled sum are divided among processes, all of which call it with the same tensors."""
    global _crew
    before, _crew = _crew, crew
    try:
        yield
    finally:
        _crew = before


def log_sum_exp_products(
    rows: Float[Tensor, "M D"], columns: Float[Tensor, "N D"], tile: int | None = None, *, skip_own: bool = False
) -> Float[Tensor, "M"]:
    """log sum_j exp(rows_i . columns_j) for every i.

    tile       rows and columns of a tile; None: one tile
    skip_own   leave out j = i
    """
    if tile is not None:
        alone = _crew is None or len(rows) % _crew.size or torch.compiler.is_compiling()
        return _LogSumExpProducts.apply(rows, columns, tile, skip_own, None if alone else _crew)
    return _products(rows, columns, 0, 0, skip_own).logsumexp(-1)


def sum_over_pairs(
    function: Callable[..., Tensor], rows: Sequence[Tensor], columns: Sequence[Tensor], tile: int | None = None
) -> Tensor:
    """The sum of ``function(*rows, *columns)`` over all tiles: of a function that sums over its own pairs.

    rows, columns   tensors [M, ...] and [N, ...]; the function gets some of their rows. It is differentiable, and uses
                    no other tensors that need a gradient
    """
    if tile is None:
        return function(*rows, *columns)
    return _SumOverPairs.apply(function, len(rows), tile, *rows, *columns)


def _products(rows: Tensor, columns: Tensor, row: int, column: int, skip_own: bool) -> Tensor:
    """The tile [m, n] that begins at this row and column; -inf where a row meets itself and is to be skipped."""
    products = rows @ columns.mT
    if not skip_own or row >= column + len(columns) or column >= row + len(rows):
        return products
    own = torch.arange(row, row + len(rows), device=rows.device).unsqueeze(1)
    own = own == torch.arange(column, column + len(columns), device=rows.device)
    return products.masked_fill(own, -torch.inf)


class _LogSumExpProducts(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, columns: Tensor, tile: int, skip_own: bool, crew: Crew | None) -> Tensor:
        (own,), start = _own_rows(crew, rows)
        found = []
        for i, some_rows in enumerate(own.split(tile)):
            total: Any = None
            for j, some_columns in enumerate(columns.split(tile)):
                part = _products(some_rows, some_columns, start + i * tile, j * tile, skip_own).logsumexp(-1)
                total = part if total is None else torch.logaddexp(total, part)
            found.append(total)
        return torch.cat(found) if crew is None else crew.rows_of_all(torch.cat(found))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        rows, columns, ctx.tile, ctx.skip_own, ctx.crew = inputs
        ctx.save_for_backward(rows, columns, output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple:  # type: ignore[override]
        rows, columns, sums = ctx.saved_tensors
        of_rows: list[Tensor] = []
        of_columns: list[Any] = [0] * len(columns.split(ctx.tile))
        own, start = _own_rows(ctx.crew, rows, sums, gradient)
        parts = zip(*(tensor.split(ctx.tile) for tensor in own), strict=True)
        for i, (some_rows, some_sums, some_gradient) in enumerate(parts):
            of_some: Any = 0
            for j, some_columns in enumerate(columns.split(ctx.tile)):
                products = _products(some_rows, some_columns, start + i * ctx.tile, j * ctx.tile, ctx.skip_own)
                weights = torch.exp(products - some_sums.unsqueeze(-1)) * some_gradient.unsqueeze(-1)
                of_some = of_some + weights @ some_columns
                of_columns[j] = of_columns[j] + weights.mT @ some_rows
            of_rows.append(of_some)
        found = torch.cat(of_rows), torch.cat(of_columns)
        if ctx.crew is not None:
            found = ctx.crew.rows_of_all(found[0]), ctx.crew.sum(found[1])
        return *found, None, None, None


def _own_rows(crew: Crew | None, *tensors: Tensor) -> tuple[list[Tensor], int]:
    """The rows that this process computes, and which is their first one."""
    if crew is None:
        return list(tensors), 0
    number = len(tensors[0]) // crew.size
    start = crew.rank * number
    return [tensor[start : start + number] for tensor in tensors], start


class _SumOverPairs(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(function: Callable[..., Tensor], number: int, tile: int, *tensors: Tensor) -> Tensor:
        total: Any = 0
        for some_rows in _tiles(tensors[:number], tile):
            for some_columns in _tiles(tensors[number:], tile):
                total = total + function(*some_rows, *some_columns)
        return total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.function, ctx.number, ctx.tile, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple:  # type: ignore[override]
        tensors = ctx.saved_tensors
        wanted = ctx.needs_input_grad[3:]
        rows, columns = _tiles(tensors[: ctx.number], ctx.tile), _tiles(tensors[ctx.number :], ctx.tile)
        found: list[list[Any]] = [[0] * len(rows if at < ctx.number else columns) for at in range(len(tensors))]
        for i, some_rows in enumerate(rows):
            for j, some_columns in enumerate(columns):
                given = (*some_rows, *some_columns)
                chosen = [at for at in range(len(given)) if wanted[at]]

                def of_chosen(*values: Tensor, given: tuple = given, chosen: list = chosen) -> Tensor:
                    replaced = dict(zip(chosen, values, strict=True))
                    return ctx.function(*[replaced.get(at, value) for at, value in enumerate(given)])

                backward = torch.func.vjp(of_chosen, *[given[at] for at in chosen])[1]
                for at, part in zip(chosen, backward(gradient), strict=True):
                    place = i if at < ctx.number else j
                    found[at][place] = found[at][place] + part
        joined = (torch.cat(parts) if want else None for parts, want in zip(found, wanted, strict=True))
        return None, None, None, *joined


def _tiles(tensors: Sequence[Tensor], tile: int) -> list[tuple[Tensor, ...]]:
    return list(zip(*(tensor.split(tile) for tensor in tensors), strict=True))
