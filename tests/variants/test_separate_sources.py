import math

import pytest

from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.datasets.digits import digits
from lossbench.errors import UsageError
from lossbench.variants.separate_sources import separate_sources
from tests.datasets.support import splits
from tests.variants.support import generator


def test_frequencies():
    dataset = bradley_terry(generator=generator(), num_examples=40_000, num_symbols=2, completion_length=2)
    made = separate_sources(dataset, generator(), chosen_tilt=0.5, rejected_tilt=-0.25)
    assert [len(split) for split in splits(made)] == [len(split) for split in splits(dataset)]
    asked, targets = made.train.labels["prompt_ids"], made.train.labels["targets"]
    for prompt in range(2):
        p, r = dataset.truth.log_p[prompt].exp().tolist(), dataset.truth.rewards[prompt].tolist()
        for side, tilt in ((0, 0.5), (1, -0.25)):
            own = targets[asked == prompt, side]
            places = own[:, 0] * 2 + own[:, 1]
            weights = [a * math.exp(tilt * b) for a, b in zip(p, r, strict=True)]
            for y in range(4):
                expected = weights[y] / sum(weights)
                found = (places == y).double().mean().item()
                assert abs(found - expected) < 5 * math.sqrt(expected / len(own)) + 1e-9, (prompt, side, y)


def test_label_is_a_bradley_terry_model():
    """Of two completions, one from each source, P(the first came from the chosen one) has log-odds (a - b)(r - r')."""
    truth = bradley_terry(generator=generator(), num_symbols=2, completion_length=2).truth
    a, b = 0.3, -0.4
    p, r = truth.log_p[0].exp(), truth.rewards[0]
    chosen, rejected = p * (a * r).exp(), p * (b * r).exp()
    for y, z in ((0, 3), (1, 2)):
        odds = chosen[y] * rejected[z] / (chosen[z] * rejected[y])
        assert odds.log().item() == pytest.approx(((a - b) * (r[y] - r[z])).item())


def test_refuses():
    with pytest.raises(UsageError, match="separate_sources needs pairs"):
        separate_sources(digits(generator=generator()), generator())
