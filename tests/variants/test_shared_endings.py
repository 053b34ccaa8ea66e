import pytest
import torch

from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.datasets.digits import digits
from lossbench.errors import UsageError
from lossbench.variants.shared_endings import shared_endings
from tests.datasets.support import splits
from tests.variants.support import generator


def whole(split):
    return torch.cat([split.inputs, split.labels["targets"][..., -1:]], -1)


@pytest.mark.parametrize("length", [0, 1, 3])
def test_endings(length):
    dataset = bradley_terry(generator=generator(), num_symbols=5, prompt_length=2, num_examples=300)
    made = shared_endings(dataset, generator(), length=length)
    for split, before in zip(splits(made), splits(dataset), strict=True):
        rows, old = whole(split), whole(before)
        assert rows.shape == old.shape and torch.equal(split.labels["mask"], before.labels["mask"])
        assert torch.equal(split.labels["prompt_ids"], before.labels["prompt_ids"])
        assert torch.equal(rows[..., :2], old[..., :2])
        start = rows.shape[-1] - length
        for new, was in zip(rows.tolist(), old.tolist(), strict=True):
            # Both have the first one's ending, and each its own beginning; either may be the chosen one now.
            wanted = [was[0], was[1][:start] + was[0][start:]]
            assert sorted(new) == sorted(wanted)
        rewards = {(tuple(p.tolist()), tuple(y.tolist())): r.item() for p, own in
                   zip(dataset.truth.prompts, dataset.truth.rewards, strict=True)
                   for y, r in zip(dataset.truth.completions, own, strict=True)}  # fmt: skip
        for pair, margin in zip(rows.tolist(), split.labels["reward_margins"].tolist(), strict=True):
            one, other = (rewards[tuple(row[:2]), tuple(row[2:])] for row in pair)
            assert margin == pytest.approx(one - other, abs=1e-5)


def test_preferences_are_those_of_the_new_pairs():
    dataset = bradley_terry(generator=generator(), num_examples=40_000, num_symbols=3, completion_length=2)
    made = shared_endings(dataset, generator(), length=1).train.labels["reward_margins"].double()
    # Of pairs whose rewards differ by g, the better one is chosen with probability sigmoid(g).
    for gap in made.abs().unique()[1:]:
        there = made.abs() == gap
        if there.sum() > 300:
            found = (made[there] > 0).double().mean()
            assert abs(found - gap.sigmoid()) < 5 * 0.5 / there.sum().sqrt()


def test_refuses():
    with pytest.raises(UsageError, match="Give at most 3"):
        shared_endings(bradley_terry(generator=generator()), generator(), length=4)
    with pytest.raises(UsageError, match="shared_endings needs pairs"):
        shared_endings(digits(generator=generator()), generator())
