import torch

from lossbench.reductions.mean import mean
from lossbench.reductions.sequence_mean import sequence_mean
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


def test_limit():  # per example it is the mean, and so it is where all sequences have the same length
    for shape in ((B,), (B, T)):
        values, _ = masked_values(*shape)
        torch.testing.assert_close(reduced(sequence_mean, values), reduced(mean, values))
    values, mask = masked_values(B)
    assert torch.equal(reduced(sequence_mean, values, mask), reduced(mean, values, mask))


def test_oracle():  # one row of the mask is nowhere true: that sequence does not count
    def slow(values, mask):
        means = []
        for row, keep in zip(values, mask, strict=True):
            kept = [v for v, k in zip(row, keep, strict=True) if k]
            if kept:
                means.append(sum(kept) / len(kept))
        return sum(means) / len(means)

    slowly_equal(sequence_mean, slow, B, T)


def test_hand():  # ((1 + 2) / 2 + 6) / 2; the third sequence is empty
    values = torch.tensor([[1.0, 2.0], [6.0, 9.0], [5.0, 5.0]])
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    assert reduced(sequence_mean, values, mask) == 3.75


def test_masked():
    masked_values_do_not_matter(sequence_mean, B)
    masked_values_do_not_matter(sequence_mean, B, T)


def test_additive():
    adds_over_micro_batches(sequence_mean, B)
    adds_over_micro_batches(sequence_mean, B, T)


def test_batched():
    runs_batched(sequence_mean, B, T)
