import torch

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


def test_limit():  # without a mask it is the mean over everything
    values, _ = masked_values(B, T)
    torch.testing.assert_close(reduced(mean, values), values.mean())


def test_oracle():
    def slow(values, mask):
        kept = [v for row, keep in zip(values, mask, strict=True) for v, k in zip(row, keep, strict=True) if k]
        return sum(kept) / len(kept)

    slowly_equal(mean, slow, B, T)


def test_hand():  # (1 + 2 + 6) / 3: the long row counts twice as much as the short one
    values = torch.tensor([[1.0, 2.0], [6.0, 9.0]])
    assert reduced(mean, values, torch.tensor([[True, True], [True, False]])) == 3


def test_masked():
    masked_values_do_not_matter(mean, B)
    masked_values_do_not_matter(mean, B, T)


def test_additive():
    adds_over_micro_batches(mean, B)
    adds_over_micro_batches(mean, B, T)


def test_batched():
    runs_batched(mean, B, T)
