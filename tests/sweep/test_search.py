"""Search spaces: the same number of trials for every loss, shared keys the same, refusals."""

import math

import pytest

from lossbench import cli
from lossbench.errors import UsageError
from lossbench.sweep.search import trials
from tests.sweep.test_plan import losses, make, settings

LR = {"low": 1e-4, "high": 1e-1, "scale": "log"}


def search(**changes):
    return {"method": "random", "trials": 8, "seed": 0, "space": {"optimizer.lr": LR}, "per_loss": {}} | changes


def test_every_loss_gets_the_same_number_of_trials_and_the_same_learning_rates():
    plan = make("search=learning_rate_and_loss", "loss=cross_entropy,focal,polyloss")
    assert plan.trials == 16 and plan.arms == 3 and len(plan.runs) == 48
    assert [losses(plan).count(name) for name in ("cross_entropy", "focal", "polyloss")] == [16] * 3
    rates = [
        [rate for loss, (rate,) in zip(losses(plan), settings(plan, "optimizer.lr"), strict=True) if loss == name]
        for name in ("cross_entropy", "focal", "polyloss")
    ]
    assert rates[0] == rates[1] == rates[2] and len(set(rates[0])) == 16
    gammas = [gamma for (gamma,) in settings(plan, "loss.gamma") if gamma is not None]
    assert len(set(gammas)) == 16 and all(0.5 <= gamma <= 5 for gamma in gammas)


def test_trials_are_repeated_for_every_seed_and_are_no_arms():
    plan = make("search=learning_rate", "search.trials=3", "loss=cross_entropy,focal", "seed=0,1")
    assert len(plan.runs) == 2 * 2 * 3 and plan.arms == 2
    rates = [{rate for (rate,) in settings(plan, "optimizer.lr")} for _ in range(2)]
    assert len(rates[0]) == 3


def test_draws_depend_on_the_seed_of_the_search_alone():
    def rates(*arguments):
        return [rate for (rate,) in settings(make("search=learning_rate", *arguments), "optimizer.lr")]

    assert rates() == rates("seed=5", "batch_size=32", "loss=focal")
    assert rates("search.seed=1") != rates()
    assert rates("search.trials=4") == rates()[:4]  # more trials add to the ones before


def test_log_scale_is_uniform_in_the_logarithm():
    values = [trial["optimizer.lr"] for trial in trials(search(trials=2000), "focal", lambda key: True)]
    assert min(values) >= 1e-4 and max(values) <= 1e-1
    decades = [sum(10.0**-k <= v < 10.0 ** (1 - k) for v in values) for k in (4, 3, 2)]
    assert all(abs(count - 2000 / 3) < 5 * math.sqrt(2000 * 2 / 9) for count in decades), decades
    linear = search(trials=2000, space={"a": {"low": -1, "high": 3}})
    mean = sum(trial["a"] for trial in trials(linear, "focal", lambda key: True)) / 2000
    assert abs(mean - 1) < 5 * 4 / math.sqrt(12 * 2000)


def test_integers():
    space = {"a": {"low": 2, "high": 5, "integer": True}, "b": {"low": 0.0, "high": 1.0}}
    drawn = [trial["a"] for trial in trials(search(trials=400, space=space), "focal", lambda key: True)]
    assert set(drawn) == {2, 3, 4, 5} and all(type(a) is int for a in drawn)
    assert all(60 < drawn.count(a) < 140 for a in (2, 3, 4, 5))


def test_listed_values_come_once_each_before_any_comes_again():
    space = {"a": {"values": [1, 2, 3]}, "b": {"low": 0.0, "high": 1.0}}
    drawn = [trial["a"] for trial in trials(search(trials=9, space=space), "focal", lambda key: True)]
    assert [sorted(drawn[i : i + 3]) for i in (0, 3, 6)] == [[1, 2, 3]] * 3


def test_spaces_of_the_command_line():
    axis = "+search.space.optimizer.lr={low: 0.5, high: 2, scale: log}"
    plan = make("search=random", axis, "search.trials=5", "loss=focal,brier")
    rates = [rate for (rate,) in settings(plan, "optimizer.lr")]
    assert len(rates) == 10 and rates[:5] == rates[5:] and all(0.5 <= rate <= 2 for rate in rates)
    plan = make("search=learning_rate", "search.space.optimizer.lr.low=0.05")
    assert all(0.05 <= rate <= 0.1 for (rate,) in settings(plan, "optimizer.lr"))
    own = "+search.per_loss.focal.loss.gamma={values: [1, 2]}"
    plan = make("search=grid", "search.trials=2", own, "loss=focal")
    assert settings(plan, "loss.gamma") == [(1,), (2,)]


def test_grid():
    space = {"optimizer.lr": {"values": [0.1, 0.2]}, "clip_norm": {"values": [1.0, None]}}
    made = trials(search(method="grid", trials=4, space=space), "focal", lambda key: True)
    assert [(t["optimizer.lr"], t["clip_norm"]) for t in made] == [(0.1, 1.0), (0.1, None), (0.2, 1.0), (0.2, None)]


def test_a_grid_of_another_size_is_refused():
    space = {"optimizer.lr": {"values": [0.1, 0.2]}}
    own = {"focal": {"loss.gamma": {"values": [1, 2, 3]}}}
    with pytest.raises(UsageError, match=r"loss=focal has 6 different settings to try, but search.trials=2"):
        for loss in ("cross_entropy", "focal"):
            trials(search(method="grid", trials=2, space=space, per_loss=own), loss, lambda key: True)


def test_a_loss_that_has_nothing_to_try_is_refused():
    own = {"focal": {"loss.gamma": {"low": 0.0, "high": 5.0}}}
    assert len(trials(search(space={}, per_loss=own), "focal", lambda key: True)) == 8
    with pytest.raises(UsageError, match=r"loss=cross_entropy has 1 different settings .* search.trials=8"):
        trials(search(space={}, per_loss=own), "cross_entropy", lambda key: True)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["search=learning_rate", "optimizer.lr=0.1"], ["optimizer.lr is given", "search=learning_rate"]),
        (["search=learning_rate", "search.trials=0"], ["search.trials=0", ">= 1"]),
        (["search=learning_rate", "search.method=bayes"], ["search.method=bayes", "grid"]),
        (["search=learning_rate", "search.method=grid"], ["optimizer.lr", "'values'"]),
        (["search=learning_rate", "search.trails=4"], ["search.trails"]),
        (["search=random", "+search.space.optimizer.lt={low: 0, high: 1}"], ["1 different", "It has no optimizer.lt"]),
        (["search=learning_rate", "+search.space.optimizer.lt={low: 0, high: 1}"], ["optimizer.lt", "optimizer.lr"]),
        (["search=random", "+search.space.optimizer.lr=0.1"], ["optimizer.lr", "axis"]),
        (["search=random", "+search.space.optimizer.lr={low: 0, hihg: 1}"], ["hihg", "high"]),
        (["search=random"], ["1 different settings", "search.trials=8"]),
        (["search=learning_rate", "+search.per_loss.focl={loss.gamma: {low: 0, high: 1}}"], ["focl", "focal"]),
        (
            ["search=learning_rate", "loss=focal", "+search.per_loss.focal={loss.gama: {low: 0, high: 1}}"],
            ["loss.gama"],
        ),
        (["search=learning_rat"], ["learning_rat", "learning_rate"]),
    ],
)
def test_refused(arguments, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "-m", *arguments, f"outputs={tmp_path / 'outputs'}"])
    printed = capsys.readouterr().err
    assert caught.value.code == 2 and len(printed.splitlines()) == 1, printed
    for word in words:
        assert word in printed


@pytest.mark.parametrize(
    "axis", [{"low": 1, "high": 1}, {"low": 0, "high": 1, "scale": "log"}, {"values": []}, {"lo": 1, "high": 2}, 3, {}]
)
def test_what_is_no_axis(axis):
    with pytest.raises(UsageError, match=r"search\.space\.optimizer\.lr"):
        trials(search(space={"optimizer.lr": axis}), "focal", lambda key: True)
