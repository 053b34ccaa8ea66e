"""The n-gram entropies that trained language models are compared with."""

import math

import numpy as np
import pytest

from benchmarks.ngrams import entropies, parts
from lossbench.datasets import shakespeare


def test_hand():  # 'abab' then 'a': counts a 2, b 2, two kinds: p(a) = (2 + 2 / 256) / (4 + 2)
    unigram = (2 + 2 / 256) / 6
    # After b: a once, one kind: p(a | b) = (1 + 1 * p(a)) / (1 + 1); the first byte measured is the context.
    found = entropies(b"abab", [b"ba"], 2)
    assert found[1][0] == pytest.approx(-math.log((1 + unigram) / 2))
    assert found[0][0] == pytest.approx(-math.log(unigram))


def test_probabilities_sum_to_one():  # of the byte after 'th', over all 256
    train = shakespeare.text().encode()[:2000]
    total = sum(math.exp(-entropies(train, [b"th" + bytes([c])], 3)[2][0]) for c in range(256))
    assert total == pytest.approx(1)


def test_a_source_of_known_entropy():  # independent symbols: no order gets below, and the first is there
    draws = np.random.default_rng(0).choice(list(b"abcd"), size=60_000, p=[0.5, 0.25, 0.125, 0.125]).astype(np.uint8)
    found = entropies(draws[:50_000].tobytes(), [draws[50_000:].tobytes()], 3)
    assert found[0][0] == pytest.approx(1.75 * math.log(2), abs=0.01)
    assert found[1][0] > found[0][0] - 0.002


def test_parts_are_the_text():
    assert b"".join(parts()) == shakespeare.text().encode() and len(parts()) == 3
