import torch

from lossbench.reductions.sum import sum
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


def test_limit():  # without a mask it is the sum over everything, and the engine is told not to divide
    values, mask = masked_values(B, T)
    torch.testing.assert_close(reduced(sum, values), values.sum())
    assert sum(values)[1] == 0 and sum(values, mask)[1] == 0


def test_oracle():
    def slow(values, mask):
        total = 0.0
        for row, keep in zip(values, mask, strict=True):
            for value, kept in zip(row, keep, strict=True):
                total += value if kept else 0.0
        return total

    slowly_equal(sum, slow, B, T)


def test_hand():  # 1 + 2 + 6
    values = torch.tensor([[1.0, 2.0], [6.0, 9.0]])
    assert reduced(sum, values, torch.tensor([[True, True], [True, False]])) == 9


def test_masked():
    masked_values_do_not_matter(sum, B)
    masked_values_do_not_matter(sum, B, T)


def test_additive():
    adds_over_micro_batches(sum, B)
    adds_over_micro_batches(sum, B, T)


def test_batched():
    runs_batched(sum, B, T)
