import itertools
import math

import numpy as np
import pytest
import scipy.stats

from lossbench.errors import UsageError
from lossbench.results.statistics import (
    area_under_profile,
    best_of_k_curve,
    compare,
    expected_best_of_k,
    holm,
    interquartile_mean,
    performance_profile,
    performance_ratios,
    probability_of_improvement,
    seeds_needed,
    sign_flip_p,
    smallest_p,
    stratified_bootstrap_interval,
    t_interval,
    t_quantile,
    tau_profile,
    time_to_target,
    verdict_of_claim,
)

nan, inf = math.nan, math.inf


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def binomial_error(probability, repetitions):
    """Four standard errors: a correct implementation fails once in 16,000 seeds, and the seeds are fixed."""
    return 4 * math.sqrt(probability * (1 - probability) / repetitions)


# --- t interval --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("probability", [0.6, 0.9, 0.95, 0.975, 0.995, 0.9995])
def test_t_quantile_is_scipys(probability):
    for degrees_of_freedom in range(1, 201):
        expected = scipy.stats.t.ppf(probability, degrees_of_freedom)
        assert t_quantile(probability, degrees_of_freedom) == pytest.approx(expected, rel=1e-10, abs=0)
        assert t_quantile(1 - probability, degrees_of_freedom) == pytest.approx(-expected, rel=1e-10, abs=0)


def test_t_quantile_far_out_and_in_closed_form():
    # One degree of freedom is Cauchy: -1 / tan(pi p). Two: (2p - 1) / sqrt(2 p (1 - p)).
    for p in (1e-9, 0.01, 0.3, 0.4999):
        assert t_quantile(p, 1) == pytest.approx(-1 / math.tan(math.pi * p), rel=1e-9)
        assert t_quantile(p, 2) == pytest.approx((2 * p - 1) / math.sqrt(2 * p * (1 - p)), rel=1e-9)
    assert t_quantile(1e-12, 500) == pytest.approx(scipy.stats.t.ppf(1e-12, 500), rel=1e-10)
    assert t_quantile(0.5, 7) == 0
    with pytest.raises(UsageError, match="between 0 and 1"):
        t_quantile(1.0, 3)


@pytest.mark.parametrize(("n", "confidence"), [(2, 0.95), (5, 0.95), (5, 0.99), (40, 0.8)])
def test_t_interval_is_scipys(n, confidence):
    d = normal(n) + 0.3
    expected = scipy.stats.ttest_1samp(d, 0).confidence_interval(confidence)
    assert t_interval(d, confidence) == pytest.approx((d.mean(), expected.low, expected.high), rel=1e-10)


def test_t_interval_hand():  # 1, 2, 3: mean 2, s = 1, t quantile at 2 degrees 0.95 / sqrt(2 * 0.975 * 0.025)
    half = 0.95 / math.sqrt(2 * 0.975 * 0.025) / math.sqrt(3)
    assert t_interval([1, 2, 3]) == pytest.approx((2, 2 - half, 2 + half))


def test_t_interval_edges():
    assert t_interval([0.5]) == pytest.approx((0.5, nan, nan), nan_ok=True)
    assert t_interval([]) == pytest.approx((nan, nan, nan), nan_ok=True)
    assert t_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)
    for missing in (nan, inf):
        assert t_interval([0.5, missing, 0.5]) == pytest.approx((nan, nan, nan), nan_ok=True)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_t_interval_covers(n):
    samples = normal(4000, n, seed=n) * 3 + 1
    covered = np.mean([i.low <= 1 <= i.high for i in map(t_interval, samples)])
    assert abs(covered - 0.95) < binomial_error(0.95, 4000)  # the normal quantile would cover 81, 88, 92 %


# --- sign-flip test ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 6, 10, 13])
def test_sign_flip_is_scipys(n):
    for shift in (0.0, 0.7):
        d = normal(n, seed=n) + shift
        expected = scipy.stats.permutation_test(
            (d,), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
        )
        assert sign_flip_p(d) == pytest.approx(expected.pvalue, rel=1e-12)


def test_sign_flip_hand():
    assert sign_flip_p([1, 2, 3]) == 2 / 8
    assert sign_flip_p([1, 2, -3]) == 1  # the sum is 0
    assert sign_flip_p([3, 1, -1]) == 4 / 8 + 2 / 8  # |sum| = 3: 3+1+1, 3+1-1, 3-1+1 and their opposites
    assert sign_flip_p([0.0, 0.0, 5.0]) == 1  # zeros do not help: every flip has |sum| = 5
    assert sign_flip_p([0.0] * 6) == 1
    assert math.isnan(sign_flip_p([])) and math.isnan(sign_flip_p([1, nan])) and math.isnan(sign_flip_p([1, inf]))


def test_sign_flip_counts_ties_in_spite_of_rounding():
    # Differences of +-1/360 in accuracy: the sums are small integers over 360, up to rounding, so the p-value is that
    # of the integers; comparing the rounded sums exactly loses ties in one direction or the other.
    generator = np.random.default_rng(1)
    for _ in range(50):
        correct, other = generator.integers(300, 306, size=(2, 9))
        assert sign_flip_p(correct / 360 - other / 360) == sign_flip_p(correct - other)


def test_sign_flip_in_monte_carlo():
    d = normal(20, seed=3) + 0.6
    sums = np.zeros(1)
    for difference in d:  # all 2^20 flips
        sums = np.concatenate([sums + difference, sums - difference])
    exact = (np.abs(sums) >= abs(d.sum()) - 1e-12).mean()
    assert 0.01 < exact < 0.2
    estimated = sign_flip_p(d, generator=5)
    assert abs(estimated - exact) < binomial_error(exact, 100_000)
    assert estimated == sign_flip_p(d, generator=5) != sign_flip_p(d, generator=6)
    assert sign_flip_p(np.full(60, 1.0)) == 1 / 100_001  # none of the sampled flips reaches it: never 0
    assert sign_flip_p([0.0] * 30) == 1
    assert sign_flip_p(d, samples=7) * 8 == pytest.approx(round(sign_flip_p(d, samples=7) * 8))


def test_sign_flip_errs_as_often_as_it_says():
    # Under the null with 8 pairs p takes each of k/128 alike: p <= 0.05 has probability 6/128 exactly.
    rejected = np.mean([sign_flip_p(d) <= 0.05 for d in normal(4000, 8, seed=4)])
    assert abs(rejected - 6 / 128) < binomial_error(6 / 128, 4000)
    tied = np.random.default_rng(5).integers(-2, 3, size=(4000, 8))
    assert np.mean([sign_flip_p(d) <= 0.05 for d in tied]) < 0.05 + binomial_error(0.05, 4000)


def test_smallest_p_is_reached():
    for n in range(1, 13):
        assert sign_flip_p(np.ones(n)) == smallest_p(n) == min(1, 2 / 2**n)
    assert smallest_p(0) == 1


def test_seeds_needed():
    assert [seeds_needed(0.05, comparisons) for comparisons in (1, 5, 10, 24)] == [6, 8, 9, 10]
    assert seeds_needed(0.25) == 3 and seeds_needed(0.2499) == 4  # 2/2^3 is 0.25: reaching alpha is enough
    with pytest.raises(UsageError, match=r"0\.05"):
        seeds_needed(0.0)


# --- Holm --------------------------------------------------------------------------------------------------------


def test_holm_is_its_definition():
    def rejects(p_values, alpha):  # Holm's procedure: from the smallest up, stop at the first that does not pass
        rejected, remaining = set(), sorted(range(len(p_values)), key=lambda i: p_values[i])
        while remaining and p_values[remaining[0]] <= alpha / len(remaining):
            rejected.add(remaining.pop(0))
        return rejected

    def definition(p_values):  # step by step, in the order of the p-values
        adjusted, running = [0.0] * len(p_values), 0.0
        for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
            adjusted[i] = running
        return adjusted

    generator = np.random.default_rng(6)
    for size in (1, 2, 5, 24):
        for _ in range(20):
            p_values = (generator.uniform(size=size) ** 4).tolist()
            adjusted = holm(p_values)
            assert adjusted == pytest.approx(definition(p_values), rel=1e-12)
            for alpha in (0.01, 0.05, 0.3):
                assert set(np.flatnonzero(adjusted <= alpha)) == rejects(p_values, alpha)


def test_holm_hand():  # 4 * 0.01; 3 * 0.02; 2 * 0.04 = 0.08; 0.03 would be 0.06 at rank 2
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1, 1])
    assert holm([0.02, nan, 0.01]) == pytest.approx([0.02, nan, 0.02], nan_ok=True)  # a family of two
    assert len(holm([])) == 0
    assert np.isnan(holm([nan, nan])).all()


# --- probability of improvement ----------------------------------------------------------------------------------


def test_probability_of_improvement_is_mann_whitneys():
    a, b = np.round(normal(7, 3), 1), np.round(normal(9, 3, seed=1) - 0.3, 1)  # rounding makes ties
    expected = [scipy.stats.mannwhitneyu(a[:, t], b[:, t]).statistic / 63 for t in range(3)]
    assert probability_of_improvement(a, b, paired=False).value == pytest.approx(np.mean(expected))
    assert probability_of_improvement(a[:, 0], b[:, 0], paired=False).value == pytest.approx(expected[0])


def test_probability_of_improvement_hand():
    a, b = [1, 2, 3, 4], [0, 2, 5, 3]  # in pairs: win, tie, loss, win
    assert probability_of_improvement(a, b).value == 2.5 / 4
    assert probability_of_improvement(a, b, paired=False).value == (1 + 1.5 + 2.5 + 3) / 16
    assert probability_of_improvement(b, a, paired=False).value == 1 - 8 / 16


def test_probability_of_improvement_interval():
    a = np.array([1.0] * 13 + [-1.0] * 7)  # against 0 in pairs: the resampled wins are binomial(20, 13 / 20)
    low, high = scipy.stats.binom.ppf([0.025, 0.975], 20, 13 / 20) / 20
    assert probability_of_improvement(a, np.zeros(20)) == pytest.approx((0.65, low, high))

    a, b = normal(12) + 0.5, normal(9, seed=1)
    ours = probability_of_improvement(a, b, paired=False, confidence=0.9)
    scipys = scipy.stats.bootstrap(
        (a, b),
        lambda a, b, axis: (a[..., :, None] > b[..., None, :]).mean((-2, -1)),
        confidence_level=0.9,
        method="percentile",
        random_state=0,
    ).confidence_interval
    assert ours.low == pytest.approx(scipys.low, abs=0.015) and ours.high == pytest.approx(scipys.high, abs=0.015)


def test_probability_of_improvement_edges():
    assert probability_of_improvement([1.0], [0.0]) == (1, 1, 1)
    assert probability_of_improvement([2.0, 3.0], [2.0, 3.0]) == (0.5, 0.5, 0.5)
    assert math.isnan(probability_of_improvement([1.0, nan], [0.0, 0.0]).value)
    assert math.isnan(probability_of_improvement([], []).value)
    with pytest.raises(UsageError, match="in pairs"):
        probability_of_improvement([1.0, 2.0], [1.0])


# --- many runs on several tasks ----------------------------------------------------------------------------------


def test_interquartile_mean_is_scipys():
    for n in range(1, 14):
        assert interquartile_mean(normal(n)) == pytest.approx(scipy.stats.trim_mean(normal(n), 0.25))
    scores = normal(5, 6, 7)
    assert interquartile_mean(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25, axis=None))
    for axis in range(-3, 3):
        np.testing.assert_allclose(interquartile_mean(scores, axis), scipy.stats.trim_mean(scores, 0.25, axis=axis))
    expected = [scipy.stats.trim_mean(part, 0.25, axis=None) for part in scores]
    np.testing.assert_allclose(interquartile_mean(scores, (-2, -1)), expected)


def test_interquartile_mean_hand():  # of 8 scores the outer 2 + 2 go
    assert interquartile_mean([100, 1, 2, 3, 4, 5, -50, 60]) == (2 + 3 + 4 + 5) / 4
    assert math.isnan(interquartile_mean([1, 2, 3, nan]))  # sorted to the end, it would be trimmed away
    assert math.isnan(interquartile_mean([]))


@pytest.mark.parametrize("statistic", [interquartile_mean, np.mean])
def test_stratified_bootstrap_is_scipys(statistic):
    scores = normal(10, 4) + np.array([0, 0.5, 5, 20])  # tasks far apart: runs drawn across them would vary wildly
    ours = stratified_bootstrap_interval(scores, statistic)
    scipys = scipy.stats.bootstrap(
        tuple(scores.T),
        lambda *tasks, axis: statistic(np.stack(tasks, axis=-1), axis=(-2, -1)),
        method="percentile",
        n_resamples=10_000,
        random_state=0,
    )
    low, high = scipys.confidence_interval
    assert ours.value == pytest.approx(statistic(scores))
    assert ours.low == pytest.approx(low, abs=0.1 * scipys.standard_error)
    assert ours.high == pytest.approx(high, abs=0.1 * scipys.standard_error)


def test_stratified_bootstrap_edges():
    assert stratified_bootstrap_interval([[1.0, 3.0]], np.mean) == (2, 2, 2)  # one run: no width
    assert math.isnan(stratified_bootstrap_interval([[1.0, nan], [2.0, 1.0]]).low)
    assert math.isnan(stratified_bootstrap_interval(np.zeros((0, 3))).value)
    scores = normal(3, 2)
    assert stratified_bootstrap_interval(scores, generator=1) == stratified_bootstrap_interval(scores, generator=1)
    with pytest.raises(UsageError, match=r"\[runs, tasks\]"):
        stratified_bootstrap_interval(np.zeros((2, 2, 2)))


def test_performance_profile():
    scores = [[0.1, 0.9], [0.5, nan], [0.5, 0.7]]  # a diverged run is above nothing
    profile = performance_profile(scores, [-1, 0.1, 0.5, 0.8, 1])
    assert profile.value == pytest.approx([5 / 6, 4 / 6, 2 / 6, 1 / 6, 0])  # above, not at
    assert (profile.low <= profile.value).all() and (profile.value <= profile.high).all()


def test_performance_profile_band():
    scores = np.arange(20.0)  # 13 of 20 are above 6: the resampled count is binomial
    low, high = scipy.stats.binom.ppf([0.025, 0.975], 20, 13 / 20) / 20
    profile = performance_profile(scores, [6], resamples=20_000)
    assert (profile.low[0], profile.high[0]) == pytest.approx((low, high))
    stratified = performance_profile([[0, 1]] * 5, [0.5])  # every run of one task, none of the other: no doubt left
    assert (stratified.low[0], stratified.value[0], stratified.high[0]) == (0.5, 0.5, 0.5)


# --- time to target ----------------------------------------------------------------------------------------------


def test_time_to_target():
    steps = [10, 20, 30, 40]
    assert time_to_target(steps, [0.1, 0.5, 0.4, 0.9], 0.5) == 20
    assert time_to_target(steps, [nan, 0.4, nan, 0.9], 0.5) == 40
    assert time_to_target(steps, [3, 2, 1, 4], 2, higher_is_better=False) == 20
    assert time_to_target(steps, [3, 2, nan, 4], 1, higher_is_better=False) == inf
    assert time_to_target([], [], 1) == inf


def test_tau_profile_hand():
    times = {"a": [10, 30, inf, inf], "b": [20, 10, nan, 5], "c": [10, 45, inf, 0]}
    ratios = performance_ratios(times)
    assert ratios["a"].tolist() == [1, 3, inf, inf]  # task 3: missed by all; task 4: c is there at step 0
    assert ratios["b"].tolist() == [2, 1, inf, inf]
    assert ratios["c"].tolist() == [1, 4.5, inf, 1]
    profile = tau_profile(times, [1, 2, 3, 4.5, 1e9, inf])
    assert profile["a"].tolist() == [0.25, 0.25, 0.5, 0.5, 0.5, 0.5]  # a miss counts at no tau, not even at inf
    assert profile["b"].tolist() == [0.25, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert profile["c"].tolist() == [0.5, 0.5, 0.5, 0.75, 0.75, 0.75]
    # from 1 to 4, over 3: a is 1/4 everywhere and another 1/4 from 3 on; c is 1/2 everywhere: 4.5 is too late
    assert area_under_profile(times) == pytest.approx({"a": (3 / 4 + 1 / 4) / 3, "b": (3 / 4 + 2 / 4) / 3, "c": 1 / 2})


def test_area_is_the_integral():
    times = {name: 1 + np.random.default_rng(seed).exponential(size=7) for seed, name in enumerate("abc")}
    times["b"][2] = inf
    taus = np.linspace(1, 6, 200_001)
    for name, rho in tau_profile(times, taus).items():
        assert area_under_profile(times, r_max=6)[name] == pytest.approx(np.trapezoid(rho, taus) / 5, abs=1e-5)


def test_time_to_target_edges():
    assert area_under_profile({"a": [3.0]}) == {"a": 1} and performance_ratios({}) == {}
    assert area_under_profile({"a": [inf], "b": [nan]}) == {"a": 0, "b": 0}
    assert math.isnan(area_under_profile({"a": []})["a"])
    with pytest.raises(UsageError, match="inf"):
        tau_profile({"a": [1, 2], "b": [1]}, [1])


# --- best of k ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("higher", "best"), [(True, max), (False, min)])
def test_best_of_k_is_the_mean_over_all_subsets(higher, best):
    scores = normal(7).tolist()
    for k in range(1, 8):
        expected = np.mean([best(subset) for subset in itertools.combinations(scores, k)])
        assert expected_best_of_k(scores, k, higher) == pytest.approx(expected)
    curve = best_of_k_curve(scores, higher)
    assert curve.x.tolist() == list(range(1, 8))
    assert curve.value == pytest.approx([expected_best_of_k(scores, k, higher) for k in range(1, 8)])


def test_best_of_k_is_stable_for_many_trials():  # of 1..n: k (n + 1) / (k + 1), the German tank problem
    for k in (1, 2, 50, 399, 400):
        assert expected_best_of_k(np.arange(1, 401), k) == pytest.approx(k * 401 / (k + 1))


def test_best_of_k_is_unbiased():  # of uniform draws: k / (k + 1); with replacement it would fall short by 0.02
    draws = np.random.default_rng(7).uniform(size=(4000, 8))
    estimates = np.array([expected_best_of_k(d, 5) for d in draws])
    assert abs(estimates.mean() - 5 / 6) < 4 * estimates.std() / math.sqrt(4000)


def test_best_of_k_band():
    scores = normal(30)
    curve = best_of_k_curve(scores, resamples=10_000)
    assert (curve.low <= curve.value).all() and (curve.value <= curve.high).all()
    scipys = scipy.stats.bootstrap((scores,), np.mean, method="percentile", random_state=0).confidence_interval
    assert curve.low[0] == pytest.approx(scipys.low, abs=0.02)  # k = 1 is the mean
    assert curve.high[0] == pytest.approx(scipys.high, abs=0.02)


def test_best_of_k_edges():
    assert expected_best_of_k([0.7], 1) == 0.7
    assert len(best_of_k_curve([]).value) == 0
    assert math.isnan(expected_best_of_k([0.7, nan], 2))
    for k in (0, 3):
        with pytest.raises(UsageError, match="Choose k"):
            expected_best_of_k([1.0, 2.0], k)


# --- compare -----------------------------------------------------------------------------------------------------


def groups(seeds, *, methods, effect=0.0, seed=0):
    """Baseline and methods on the same seeds; what a seed brings is common to all of them."""
    common, own = normal(seeds, seed=seed), normal(methods + 1, seeds, seed=seed + 1)
    scores = {"base": dict(enumerate(common + own[0]))}
    return scores | {f"m{i}": dict(enumerate(common + own[i] + effect)) for i in range(1, methods + 1)}


def by_name(rows):
    return {row.name: row for row in rows}


def test_compare_hand():
    scores = {
        "better": {s: 0.9 + 0.01 * s for s in range(6)},
        "ce": {s: 0.8 + 0.01 * s for s in range(6)},
        "same": {s: 0.8 + 0.01 * s for s in range(6)},
    }
    rows = compare(scores, "ce", alpha=4 / 64)  # reaching alpha is enough
    assert [row.name for row in rows] == ["ce", "better", "same"]
    base, better, same = rows
    assert (base.verdict, base.n, base.missing, base.mean) == ("baseline", 6, 0, pytest.approx(0.825))
    assert math.isnan(base.p) and math.isnan(base.difference) and base.words == ""
    assert (better.p, better.holm_p, better.family) == (2 / 64, 4 / 64, 2)
    assert (better.mean, better.baseline_mean) == pytest.approx((0.925, 0.825))
    assert (better.difference, better.low, better.high) == pytest.approx((0.1, 0.1, 0.1))
    assert (better.probability_of_improvement, better.verdict, better.words) == (1, "better", "")
    assert (same.p, same.difference, same.probability_of_improvement) == (1, 0, 0.5)
    assert same.verdict == "no difference shown"


def test_compare_knows_the_direction():
    scores = groups(10, methods=1, effect=5.0)
    up, down = compare(scores, "base")[1], compare(scores, "base", higher_is_better=False)[1]
    assert (up.verdict, up.probability_of_improvement) == ("better", 1)
    assert (down.verdict, down.probability_of_improvement) == ("worse", 0)
    assert up.difference == down.difference > 0 and up.low == down.low > 0


def test_compare_numbers_are_those_of_the_functions():
    scores = groups(8, methods=3, effect=0.5)
    rows = by_name(compare(scores, "base", confidence=0.9))
    differences = {name: [scores[name][s] - scores["base"][s] for s in range(8)] for name in ("m1", "m2", "m3")}
    for name, d in differences.items():
        interval = scipy.stats.ttest_1samp(d, 0).confidence_interval(0.9)
        assert (rows[name].low, rows[name].high) == pytest.approx(tuple(interval))
        assert rows[name].p == sign_flip_p(d)
        assert rows[name].probability_of_improvement == np.mean(np.array(d) > 0)
    assert [rows[name].holm_p for name in differences] == pytest.approx(
        holm([sign_flip_p(d) for d in differences.values()])
    )


def test_compare_says_when_seeds_are_too_few():
    row = compare(groups(5, methods=1, effect=50.0), "base")[1]
    assert (row.p, row.verdict) == (2 / 32, "too few seeds")
    assert "6 seeds are needed before this test can reject" in row.words
    assert "leaves out 0" in row.words  # the t interval does: both are said
    assert compare(groups(6, methods=1, effect=50.0), "base")[1].verdict == "better"
    rows = compare(groups(7, methods=5, effect=50.0), "base")
    assert {row.verdict for row in rows[1:]} == {"too few seeds"}
    assert "8 seeds are needed before this test can reject (one of 5 comparisons)" in rows[1].words
    assert {row.verdict for row in compare(groups(8, methods=5, effect=50.0), "base")[1:]} == {"better"}


def test_compare_judges_too_few_by_what_the_others_leave():
    # Two methods, 7 and 6 seeds: 2 * 2/2^7 passes, and then the other faces alpha alone: 6 seeds are enough for it.
    scores = {"ce": {s: 0.0 for s in range(7)}, "a": {s: 1.0 for s in range(7)}, "b": {s: 1.0 for s in range(6)}}
    assert [row.verdict for row in compare(scores, "ce")] == ["baseline", "better", "better"]
    scores["a"][0] = -9.0  # now nothing is rejected before b, and 2 * 2/2^6 > 0.05
    rows = by_name(compare(scores, "ce"))
    assert (rows["a"].verdict, rows["b"].verdict) == ("no difference shown", "too few seeds")


def test_compare_with_missing_scores():
    scores = {
        "focal": {0: 1.0, 1: nan, 2: 3.0, 3: inf, 9: 5.0},
        "ce": {0: 0.0, 1: 0.0, 2: 1.0, 3: 0.0, 4: nan},
        "gone": {7: 1.0},
    }
    rows = by_name(compare(scores, "ce", diverged={"focal": 2, "ce": 1}))
    focal, ce, gone = rows["focal"], rows["ce"], rows["gone"]
    assert (focal.n, focal.missing, focal.mean, focal.baseline_mean, focal.difference) == (2, 4, 2, 0.5, 1.5)
    assert "2 of 5 runs diverged: not in the mean" in focal.words
    assert "4 of 6 seeds have no pair: not in the mean" in focal.words
    assert (focal.diverged, focal.family) == (2, 1)  # gone has no pair: nothing was tested
    assert (ce.n, ce.missing, ce.mean, ce.words) == (4, 1, 0.25, "1 of 5 runs diverged: not in the mean")
    assert (gone.n, gone.missing, gone.verdict) == (0, 6, "too few seeds")
    assert all(map(math.isnan, (gone.mean, gone.difference, gone.low, gone.p, gone.holm_p)))


def test_compare_edges():
    one = compare({"ce": {0: 1.0}, "focal": {0: 2.0}}, "ce")[1]
    assert (one.n, one.difference, one.p, one.verdict) == (1, 1, 1, "too few seeds")
    assert math.isnan(one.low)
    assert [row.name for row in compare({"ce": {}}, "ce")] == ["ce"]
    tuned = compare({"ce": {0: 1.0}, "focal": {0: 2.0}}, "ce", trials={"ce": 4, "focal": 12})
    assert "tuned with 12 trials, the baseline with 4" in tuned[1].words and tuned[0].words == ""
    with pytest.raises(UsageError, match="did you mean 'focal'"):
        compare({"focal": {}}, "fokal")


@pytest.mark.parametrize("seeds", [8, 10])
def test_compare_keeps_the_family_wise_error(seeds):
    # Nothing differs. Uncorrected, one in three tables would hold a false verdict; 8 seeds cannot reject at all.
    verdicts = [
        {row.verdict for row in compare(groups(seeds, methods=10, seed=2 * repetition), "base")[1:]}
        for repetition in range(200)
    ]
    wrong = np.mean([bool(v & {"better", "worse"}) for v in verdicts])
    assert wrong <= (0 if seeds == 8 else 0.05 + binomial_error(0.05, 200))
    if seeds == 8:
        assert set.union(*verdicts) == {"too few seeds"}


def test_compare_finds_what_is_there():
    found = [compare(groups(12, methods=3, effect=3.0, seed=2 * r), "base")[1].verdict == "better" for r in range(50)]
    assert np.mean(found) > 0.9


# --- claims ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([1.0, 1.1, 0.9], "supported"),
        ([-1.0, -1.1, -0.9], "contradicted"),
        ([1.0, -1.1, 0.9], "inconclusive"),
        ([0.0, 0.0, 0.0], "inconclusive"),
        ([1.0], "inconclusive"),
        ([], "inconclusive"),
    ],
)
def test_verdict_of_claim(differences, verdict):
    method, zeros = dict(enumerate(differences)), dict.fromkeys(range(len(differences)), 0.0)
    claim = verdict_of_claim(method, zeros)
    assert (claim.verdict, claim.n) == (verdict, len(differences))
    assert (claim.difference, claim.low, claim.high) == pytest.approx(t_interval(differences), nan_ok=True)
    # the same numbers, claimed to be lower: the interval stays, the verdict turns
    turned = {"supported": "contradicted", "contradicted": "supported"}.get(verdict, verdict)
    lower = verdict_of_claim(method, zeros, higher_is_better=False)
    assert (lower.verdict, lower.words) == (turned, claim.words)
    assert (lower.low, lower.high) == pytest.approx((claim.low, claim.high), nan_ok=True)


@pytest.mark.parametrize(
    ("center", "verdict"),
    [
        (0.0, "supported"),
        (0.9, "supported"),
        (-0.9, "supported"),
        (0.95, "inconclusive"),  # inside by its mean, not by its interval
        (-1.05, "inconclusive"),
        (1.2, "contradicted"),
        (-1.2, "contradicted"),  # better or worse: it is not as good
    ],
)
@pytest.mark.parametrize("higher", [True, False])
def test_as_good_as_within_a_margin(center, verdict, higher):
    """Against scipy's two one-sided t tests at 2.5 %, on differences whose interval is about 0.07 wide to each side."""
    differences = center + np.array([-0.05, -0.03, 0.0, 0.03, 0.05])
    method, zeros = dict(enumerate(differences)), dict.fromkeys(range(5), 0.0)
    claim = verdict_of_claim(method, zeros, higher, margin=1.0)
    assert claim.verdict == verdict
    assert (claim.difference, claim.low, claim.high) == pytest.approx(t_interval(differences))
    above = scipy.stats.ttest_1samp(differences, -1.0, alternative="greater").pvalue
    below = scipy.stats.ttest_1samp(differences, 1.0, alternative="less").pvalue
    assert (max(above, below) < 0.025) == (verdict == "supported")
    assert ("crosses the margin of 1" in claim.words) == (verdict == "inconclusive")


def test_no_difference_shown_is_not_as_good_as():
    """An interval that holds 0 and is wider than the margin supports nothing; equal scores do."""
    zeros = dict.fromkeys(range(3), 0.0)
    assert verdict_of_claim({0: 1.0, 1: -1.1, 2: 0.2}, zeros, margin=0.1).verdict == "inconclusive"
    assert verdict_of_claim(zeros, zeros, margin=0.1).verdict == "supported"
    assert verdict_of_claim({0: 0.0}, zeros, margin=0.1).verdict == "inconclusive"
    # The margin itself is not inside.
    assert verdict_of_claim(dict.fromkeys(range(3), 0.5), zeros, margin=0.5).verdict == "inconclusive"


def test_verdict_of_claim_words():
    assert verdict_of_claim({0: 1.0, 1: nan}, {0: 0.0, 1: 0.0, 2: 0.0}).words == (
        "an interval needs 2 seeds, 1 of them has a pair; 2 of 3 seeds have no pair: not in the mean"
    )
    assert "no width" in verdict_of_claim({0: 1.0, 1: 1.0}, {0: 0.0, 1: 0.0}).words
    assert verdict_of_claim({0: 1.0, 1: 1.1}, {0: 0.0, 1: 0.0}).words == ""
