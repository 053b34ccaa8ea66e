import pytest
import torch

from lossbench.errors import UsageError
from lossbench.reductions.mean import mean
from lossbench.reductions.token_mean import token_mean
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


def test_limit():  # per token it is the mean
    values, mask = masked_values(B, T)
    assert torch.equal(reduced(token_mean, values, mask), reduced(mean, values, mask))


def test_oracle():
    def slow(values, mask):
        kept = [v for row, keep in zip(values, mask, strict=True) for v, k in zip(row, keep, strict=True) if k]
        return sum(kept) / len(kept)

    slowly_equal(token_mean, slow, B, T)


def test_hand():  # (1 + 2 + 6) / 3, where the mean of the sequences' means is (1.5 + 6) / 2
    values = torch.tensor([[1.0, 2.0], [6.0, 9.0]])
    assert reduced(token_mean, values, torch.tensor([[True, True], [True, False]])) == 3


def test_needs_tokens():
    with pytest.raises(UsageError, match=r"token_mean.*\[6\].*reduction=mean"):
        token_mean(torch.zeros(B))


def test_masked():
    masked_values_do_not_matter(token_mean, B, T)


def test_additive():
    adds_over_micro_batches(token_mean, B, T)


def test_batched():
    runs_batched(token_mean, B, T)
