import pytest
import torch

from lossbench.reductions.fixed_length_mean import fixed_length_mean
from lossbench.reductions.length_power_mean import length_power_mean
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


def test_limit():  # alpha = 0 weighs all sequences alike
    values, mask = masked_values(B, T)
    for given in (None, mask):
        torch.testing.assert_close(
            reduced(length_power_mean, values, given, alpha=0.0), reduced(fixed_length_mean, values, given)
        )


@pytest.mark.parametrize("alpha", [0.0, 0.75, 1.0])
def test_oracle(alpha):
    def slow(values, mask):
        rows = [[v for v, k in zip(row, keep, strict=True) if k] for row, keep in zip(values, mask, strict=True)]
        rows = [row for row in rows if row]
        whole = sum(len(row) ** -alpha for row in rows)
        return sum(len(row) ** -alpha / whole / 9 * sum(row) for row in rows)

    slowly_equal(length_power_mean, slow, B, T, alpha=alpha, length=9)


def test_hand():  # lengths 2 and 1: weights 1/2 and 1 over 3/2; (1/3 * 3 + 2/3 * 6) / 5
    values = torch.tensor([[1.0, 2.0], [6.0, 9.0], [5.0, 5.0]])
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    torch.testing.assert_close(reduced(length_power_mean, values, mask, length=5), torch.tensor(1.0))


def test_alpha_1_has_the_least_variance_where_that_of_a_sum_grows_with_the_length():
    """sum_i x_i^2 n_i, exactly: sums of n_i independent values of variance 1, weights x_i of the same sum."""
    lengths = torch.tensor([2, 3, 5, 9, 17, 40])
    mask = torch.arange(40) < lengths.unsqueeze(1)
    variances = {}
    for alpha in (0.0, 0.5, 0.75, 1.0, 1.5):
        values = torch.zeros(6, 40, dtype=torch.float64, requires_grad=True)
        reduced(length_power_mean, values, mask, alpha=alpha).backward()
        torch.testing.assert_close(values.grad[:, 0].sum(), torch.tensor(1 / 40, dtype=torch.float64))
        variances[alpha] = float(values.grad.square().sum())
    assert min(variances, key=variances.get) == 1.0
    assert variances[0.0] > variances[0.5] > variances[0.75] > variances[1.0] < variances[1.5]


def test_masked():
    masked_values_do_not_matter(length_power_mean, B)
    masked_values_do_not_matter(length_power_mean, B, T)


def test_additive():
    adds_over_micro_batches(length_power_mean, B)
    adds_over_micro_batches(length_power_mean, B, T)


def test_batched():
    runs_batched(length_power_mean, B, T)
