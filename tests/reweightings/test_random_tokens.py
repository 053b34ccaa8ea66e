import torch

from lossbench.reweightings.random_tokens import random_tokens
from tests.losses.support import near, sample


def test_limit():  # all tokens kept
    mask, uniforms = sample("mask", "token_uniforms", tokens=True)
    near(random_tokens(mask, uniforms, fraction=1.0), mask.double())


def test_oracle():  # those with the largest draws, row by row, with torch.topk
    mask, uniforms = sample("mask", "token_uniforms", tokens=True)
    own = random_tokens(mask, uniforms, fraction=0.4)
    for row, counts, draws in zip(own, mask, uniforms, strict=True):
        number = int(counts.sum())
        kept = -(-4 * number // 10)  # the ceiling, in whole numbers
        best = counts.nonzero().flatten()[draws[counts].topk(kept).indices]
        expected = torch.zeros(len(row), dtype=torch.float64)
        expected[best] = number / kept
        near(row, expected)


def test_hand():  # 7 / 10 of ten tokens are seven
    mask = torch.ones(1, 10, dtype=torch.bool)
    own = random_tokens(mask, torch.arange(10.0).unsqueeze(0) / 10, fraction=0.7)
    near(own, [[0.0] * 3 + [10 / 7] * 7], 1e-6)
