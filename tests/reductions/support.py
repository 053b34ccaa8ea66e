"""What the tests of single reductions share: values with a mask, and the checks that every reduction passes."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

B, T = 6, 7


def masked_values(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """float64 values and a mask with one row that is nowhere true and one that is everywhere true."""
    generator = Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(shape, generator=generator) < 0.7
    mask[0], mask[1] = False, True
    return values, mask


def reduced(reduction: Callable, values: Tensor, mask: Tensor | None = None, **hyperparameters: object) -> Tensor:
    """What the engine makes of it: total / count, or the total where the count is 0."""
    total, count = reduction(values, mask, **hyperparameters)
    return total / count if count else total


def slowly_equal(reduction: Callable, slow: Callable, *shape: int, **hyperparameters: object) -> None:
    """The reduction equals a loop over Python numbers, with and without a mask."""
    for seed in range(3):
        values, mask = masked_values(*shape, seed=seed)
        for given in (None, mask):
            kept = torch.ones_like(mask) if given is None else given
            expected = torch.tensor(slow(values.tolist(), kept.tolist()), dtype=torch.float64)
            torch.testing.assert_close(reduced(reduction, values, given, **hyperparameters), expected)


def masked_values_do_not_matter(reduction: Callable, *shape: int, **hyperparameters: object) -> None:
    """NaN and infinities under the mask change neither total, count nor gradient; an empty mask gives 0 and 0."""
    values, mask = masked_values(*shape)

    def run(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values = values.clone().requires_grad_()
        total, count = reduction(values, mask, **hyperparameters)
        return total.detach(), torch.as_tensor(count), torch.autograd.grad(total, values)[0]

    expected = run(values, mask)
    assert expected[2][mask].abs().sum() > 0 and not expected[2][~mask].any()
    for junk in (torch.nan, torch.inf, -torch.inf):
        for actual, wanted in zip(run(values.masked_fill(~mask, junk), mask), expected, strict=True):
            assert torch.equal(actual, wanted), f"{junk} under the mask: {actual} instead of {wanted}"
    total, count, gradient = run(values.fill_(torch.nan), torch.zeros_like(mask))
    assert total == 0 and count == 0 and not gradient.any()


def adds_over_micro_batches(reduction: Callable, *shape: int) -> None:
    """Totals and counts of two micro-batches of unequal size add up to those of the whole batch."""
    values, mask = masked_values(*shape)
    for given in (None, mask):
        parts = [reduction(values[s], None if given is None else given[s]) for s in (slice(0, 2), slice(2, None))]
        total, count = reduction(values, given)
        torch.testing.assert_close(parts[0][0] + parts[1][0], total)
        added = torch.as_tensor(parts[0][1] + parts[1][1])
        torch.testing.assert_close(added, torch.as_tensor(count), rtol=1e-12, atol=0)  # a count need not be whole


def runs_batched(reduction: Callable, *shape: int, **hyperparameters: object) -> None:
    """vmap over stacked values and masks equals the loop, gradients included."""
    drawn = [masked_values(*shape, seed=seed) for seed in range(3)]
    values, masks = (torch.stack(tensors) for tensors in zip(*drawn, strict=True))
    bound = partial(reduction, **hyperparameters)

    def both(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        total, count = bound(values, mask)
        return total, count if isinstance(count, Tensor) else torch.zeros_like(total) + count

    def total(values: Tensor, mask: Tensor) -> Tensor:
        return bound(values, mask)[0]

    looped = zip(*[both(v, m) for v, m in zip(values, masks, strict=True)], strict=True)
    for batched, wanted in zip(torch.vmap(both)(values, masks), looped, strict=True):
        torch.testing.assert_close(batched, torch.stack(wanted))
    gradients = torch.vmap(torch.func.grad(total))(values, masks)
    expected = [torch.func.grad(total)(v, m) for v, m in zip(values, masks, strict=True)]
    torch.testing.assert_close(gradients, torch.stack(expected))
