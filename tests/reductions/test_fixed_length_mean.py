import torch

from lossbench.reductions.fixed_length_mean import fixed_length_mean
from lossbench.reductions.mean import mean
from tests.reductions.support import (
    B,
    T,
    adds_over_micro_batches,
    masked_values,
    masked_values_do_not_matter,
    reduced,
    runs_batched,
    slowly_equal,
)


def test_limit():  # without a mask it is the mean; twice the length, half the value
    values, mask = masked_values(B, T)
    torch.testing.assert_close(reduced(fixed_length_mean, values), reduced(mean, values))
    torch.testing.assert_close(
        reduced(fixed_length_mean, values, mask, length=2 * T), reduced(fixed_length_mean, values, mask) / 2
    )


def test_oracle():
    def slow(values, mask):
        rows = [[v for v, k in zip(row, keep, strict=True) if k] for row, keep in zip(values, mask, strict=True)]
        return sum(sum(row) / 9 for row in rows) / sum(1 for row in rows if row)

    slowly_equal(fixed_length_mean, slow, B, T, length=9)


def test_hand():  # (3 + 6) / (2 * 4); the third sequence is empty
    values = torch.tensor([[1.0, 2.0], [6.0, 9.0], [5.0, 5.0]])
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    assert reduced(fixed_length_mean, values, mask, length=4) == 9 / 8


def test_masked():
    masked_values_do_not_matter(fixed_length_mean, B)
    masked_values_do_not_matter(fixed_length_mean, B, T)


def test_additive():
    adds_over_micro_batches(fixed_length_mean, B)
    adds_over_micro_batches(fixed_length_mean, B, T)


def test_batched():
    runs_batched(fixed_length_mean, B, T)
