from collections import Counter

import pytest
import torch

from lossbench.metrics.overlap import length_before, ngram_f1, overlap


def test_against_counters():  # the multisets of n-grams, intersected
    draw = torch.Generator().manual_seed(0)
    one, other = torch.randint(3, (50, 7), generator=draw), torch.randint(3, (50, 5), generator=draw)
    lengths, others = torch.randint(8, (50,), generator=draw), torch.randint(6, (50,), generator=draw)
    for n in (1, 2, 3):
        found = ngram_f1(one, lengths, other, others, n)
        for row in range(50):
            a, b = one[row, : lengths[row]].tolist(), other[row, : others[row]].tolist()
            grams = [Counter(tuple(s[i : i + n]) for i in range(len(s) - n + 1)) for s in (a, b)]
            total = sum(grams[0].values()) + sum(grams[1].values())
            wanted = 2 * sum((grams[0] & grams[1]).values()) / total if total else 1.0
            assert found[row].item() == pytest.approx(wanted)


def test_hand():  # A B B against B B C: two of three letters; B B is the one pair of neighbours in common, of 2 and 2
    one, other, three = torch.tensor([[0, 1, 1, 9]]), torch.tensor([[1, 1, 2]]), torch.tensor([3])
    assert overlap(one, three, other, three).item() == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_length():
    tokens = torch.tensor([[5, 1, 5], [1, 2, 3], [1, 5, 5]])
    assert length_before(tokens, 5).tolist() == [0, 3, 1]
    assert length_before(tokens, None).tolist() == [3, 3, 3]
