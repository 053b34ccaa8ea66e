"""Every metric of language models against a loop over single tokens."""

import math

import pytest
import torch

from lossbench.metrics.classification import ece
from lossbench.metrics.language import frequency_terciles, language_metrics, token_ece

N, T, C = 7, 10, 6
BYTES = [1.0, 2.0, 3.0, 0.0, 5.0, 1.0]


def drawn(seed=0):
    draw = torch.Generator().manual_seed(seed)
    given = {
        "target_log_p": -torch.rand(N, T, generator=draw) * 3,
        "confidence": torch.rand(N, T, generator=draw),
        "predicted": torch.randint(C, (N, T), generator=draw),
        "predictive_entropy": torch.rand(N, T, generator=draw),
        "targets": torch.randint(C, (N, T), generator=draw),
        "mask": torch.rand(N, T, generator=draw) < 0.6,
    }
    right = torch.rand(N, T, generator=draw) < 0.6
    given["predicted"] = torch.where(right, given["targets"], given["predicted"])
    given["correct"] = given["predicted"] == given["targets"]
    return given


def tokens(given, keep=lambda t, target: True):
    """The losses of the tokens that count, one by one."""
    return [
        -given["target_log_p"][i, t].item()
        for i in range(N)
        for t in range(T)
        if given["mask"][i, t] and keep(t, given["targets"][i, t].item())
    ]


def mean(values):
    return sum(values) / len(values)


def test_loop():
    given = drawn()
    given["mask"][2] = False  # a sequence without a token that counts
    given["predicted"][1] = given["targets"][1]
    correct = given["correct"] = given["predicted"] == given["targets"]
    places = torch.tensor([0, 2, 1, 2, 0, 1])
    found = language_metrics(**given, token_bytes=torch.tensor(BYTES), terciles=places, entropy_rate=0.25)
    losses = tokens(given)
    expected = {
        "nll": mean(losses),
        "perplexity": math.exp(mean(losses)),
        "nll_above_entropy": mean(losses) - 0.25,
        # Ten places: the quarters have 3, 2, 3 and 2 of them.
        "nll_first_quarter": mean(tokens(given, lambda t, _: t in (0, 1, 2))),
        "nll_second_quarter": mean(tokens(given, lambda t, _: t in (3, 4))),
        "nll_third_quarter": mean(tokens(given, lambda t, _: t in (5, 6, 7))),
        "nll_last_quarter": mean(tokens(given, lambda t, _: t in (8, 9))),
        "nll_frequent": mean(tokens(given, lambda _, target: target in (0, 4))),
        "nll_middle": mean(tokens(given, lambda _, target: target in (2, 5))),
        "nll_rare": mean(tokens(given, lambda _, target: target in (1, 3))),
    }
    lengths = [BYTES[target] for target in given["targets"][given["mask"]]]
    expected["bits_per_byte"] = sum(losses) / math.log(2) / sum(lengths)
    counted = [(i, t) for i in range(N) for t in range(T) if given["mask"][i, t]]
    expected["accuracy"] = mean([float(correct[place]) for place in counted])
    expected["predictive_entropy"] = mean([given["predictive_entropy"][place].item() for place in counted])
    rows = {i for i, _ in counted}
    whole = [all(correct[i, t] for j, t in counted if j == i) for i in rows]
    assert len(rows) == N - 1 and 0 < sum(whole) < len(whole)
    expected["sequence_accuracy"] = mean(list(map(float, whole)))
    repeated, lengths, ends = [], [], []
    for i, t in counted:
        token = given["predicted"][i, t]
        repeated.append(float(not correct[i, t] and token in given["targets"][i, max(t - 16, 0) : t]))
    for i in range(N):
        places = [t for t in range(T // 2, T) if given["mask"][i, t]]
        if places:
            wrong = [t for t in places if not correct[i, t]]
            lengths.append(len([t for t in places if not wrong or t < wrong[0]]))
            ends.append(float(not wrong))
    expected |= {"repetition": mean(repeated), "verbatim_rate": mean(ends), "verbatim_tokens": mean(lengths)}
    assert 0 < expected["repetition"] < 1 and 0 < expected["verbatim_rate"] < 1
    assert found.keys() == expected.keys() | {"ece"}
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value, rel=1e-6), name


def test_calibration_is_that_of_the_tokens_as_examples():
    given = drawn()
    mask = given["mask"]
    correct = given["predicted"] == given["targets"]
    expected = ece(given["confidence"][mask], correct[mask])
    torch.testing.assert_close(token_ece(given["confidence"], correct, mask), expected)


def test_what_is_under_the_mask_changes_nothing():
    given = drawn()
    expected = language_metrics(**given)
    for name, junk in (("target_log_p", torch.nan), ("confidence", torch.nan), ("predictive_entropy", torch.inf)):
        given[name][~given["mask"]] = junk
    given["predicted"] = torch.where(given["mask"], given["predicted"], 0)
    given["correct"] ^= ~given["mask"]
    for name, value in language_metrics(**given).items():
        assert value == expected[name], name


def test_a_broken_model_never_looks_good():
    given = drawn()
    given["target_log_p"][given["mask"].nonzero()[0].tolist()[0], given["mask"].nonzero()[0].tolist()[1]] = torch.nan
    assert all(value.isnan() for value in language_metrics(**given).values())


def test_terciles_hand():  # shares of 1/2, 3/10, 1/10, 1/10; their middles at 0.25, 0.65, 0.85 and 0.95
    assert frequency_terciles(torch.tensor([10.0, 50.0, 10.0, 30.0])).tolist() == [2, 0, 2, 1]
    even = frequency_terciles(torch.ones(9))
    assert torch.bincount(even).tolist() == [3, 3, 3]


def test_vmap():  # as stacked runs compute them
    runs = [drawn(seed) for seed in range(3)]
    stacked = {name: torch.stack([run[name] for run in runs]) for name in runs[0]}
    options = {"token_bytes": torch.tensor(BYTES), "terciles": torch.tensor([0, 2, 1, 2, 0, 1])}
    together = torch.vmap(lambda given: language_metrics(**given, **options))(stacked)
    for i, run in enumerate(runs):
        for name, value in language_metrics(**run, **options).items():
            torch.testing.assert_close(together[name][i], value)
