import math

import pytest
import torch

from lossbench.reductions.cvar import cvar
from lossbench.reductions.mean import mean
from tests.reductions.support import (
    B,
    T,
    masked_values,
    masked_values_do_not_matter,
    reduced,
    runs_batched,
    slowly_equal,
)


def test_limit():  # fraction = 1 is the mean; a fraction that asks for less than one value gets the worst one
    for shape in ((B,), (B, T)):
        values, mask = masked_values(*shape)
        torch.testing.assert_close(reduced(cvar, values, mask, fraction=1.0), reduced(mean, values, mask))
        torch.testing.assert_close(reduced(cvar, values, fraction=1.0), values.mean())
        torch.testing.assert_close(reduced(cvar, values, fraction=1e-3), values.max())


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_oracle(fraction):
    def slow(values, mask):
        kept = [v for row, keep in zip(values, mask, strict=True) for v, k in zip(row, keep, strict=True) if k]
        worst = sorted(kept, reverse=True)[: math.ceil(fraction * len(kept))]
        return sum(worst) / len(worst)

    slowly_equal(cvar, slow, B, T, fraction=fraction)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
def test_variational(fraction):  # Rockafellar and Uryasev, theorem 1: min_t t + mean(max(values - t, 0)) / fraction
    values = masked_values(8)[0]  # fraction * 8 is whole; the minimum is attained at one of the values
    candidates = torch.stack([t + (values - t).clamp(min=0).mean() / fraction for t in values])
    torch.testing.assert_close(reduced(cvar, values, fraction=fraction), candidates.min())


def test_hand():  # 4 of 5 values are valid, ceil(0.5 * 4) = 2, the worst two are 7 and 4
    values = torch.tensor([1.0, 7.0, 100.0, 4.0, 2.0])
    mask = torch.tensor([True, True, False, True, True])
    assert reduced(cvar, values, mask, fraction=0.5) == 5.5


@pytest.mark.parametrize(("fraction", "n", "k"), [(0.07, 100, 7), (0.1, 30, 3), (0.3, 10, 3), (0.35, 10, 4), (1, 7, 7)])
def test_count(fraction, n, k):  # 0.07 * 100 and 0.1 * 30 are above 7 and 3 in floating point
    values = torch.arange(float(n))
    assert cvar(values, fraction=fraction)[1] == k
    assert cvar(values, fraction=torch.tensor(fraction, dtype=torch.float32))[1] == k


def test_ties():  # k values count, whatever the ties at the cut
    values = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    total, count = cvar(values, fraction=0.5)
    assert count == 3 and torch.autograd.grad(total, values)[0].sum() == 3


def test_nan_is_noticed():  # a valid NaN is divergence, not a small value
    assert cvar(torch.tensor([1.0, torch.nan, 3.0, 4.0]), fraction=0.25)[0].isnan()


def test_masked():
    masked_values_do_not_matter(cvar, B, fraction=0.5)
    masked_values_do_not_matter(cvar, B, T, fraction=0.5)


def test_batched():
    runs_batched(cvar, B, T, fraction=0.3)
    values, mask = masked_values(B, T)
    fractions = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    batched = torch.vmap(lambda fraction: cvar(values, mask, fraction=fraction)[0])(fractions)
    torch.testing.assert_close(batched, torch.stack([cvar(values, mask, fraction=float(f))[0] for f in fractions]))
