"""Is the difference real? The statistics behind every table, interval and verdict; numpy alone.

Few seeds are the rule here, so what holds for few comes first: the t interval of paired differences (a percentile
bootstrap over 5 seeds covers 84 % instead of 95 %), the exact sign-flip test, Holm's correction over the family. The
bootstrap is for many runs on several tasks. Scores that are not finite are missing: ``compare`` leaves them out and
counts them; elsewhere NaN in is NaN out, unless a function says what a miss means to it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lossbench.errors import UsageError, nearest

EXACT_UP_TO = 16  # pairs whose sign flips are all enumerated, 2^16; above it they are sampled
TIE = 1e-9  # relative to the largest possible sum: rounding of the scores must not split sums that are equal
ELEMENTS_AT_ONCE = 2**18  # of the resampled scores: larger pieces leave the cache


class Estimate(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


# --- one comparison: paired differences --------------------------------------------------------------------------


def t_interval(differences: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Mean of the differences with Student's t interval.

        mean -+ q s / sqrt(n)        s^2 = sum (d_i - mean)^2 / (n - 1),  q the (1 + confidence) / 2 quantile of t_{n-1}

    differences  [n], one per pair; the interval is NaN for n < 2 and has no width where all are equal
    Source       Student 1908, The probable error of a mean, Biometrika 6(1)
    """
    d = _vector(differences)
    if len(d) == 0 or not np.isfinite(d).all():
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(d.mean())
    if len(d) == 1:
        return Estimate(mean, math.nan, math.nan)
    half = -t_quantile((1 - confidence) / 2, len(d) - 1) * float(d.std(ddof=1)) / math.sqrt(len(d))
    return Estimate(mean, mean - half, mean + half)


@lru_cache(maxsize=1024)
def t_quantile(probability: float, degrees_of_freedom: int) -> float:
    """The t with P(T <= t) = probability, for Student's T; Newton's method on the logarithms of the tail and of t.

        P(T > t) = I_x(degrees_of_freedom / 2, 1 / 2) / 2        x = degrees_of_freedom / (degrees_of_freedom + t^2)

    The logarithm of the tail is concave and decreasing in log t, so that Newton's method converges from everywhere.
    Source       DLMF 8.17; Abramowitz and Stegun, eq. 26.7.1
    """
    if not 0 < probability < 1:
        raise UsageError(f"A quantile of probability {probability} does not exist. It lies between 0 and 1.")
    tail = min(probability, 1 - probability)
    if tail == 0.5:
        return 0.0
    log_t = 0.0
    for _ in range(100):
        log_tail, log_density = _log_tail_and_density(math.exp(log_t), degrees_of_freedom)
        step = (log_tail - math.log(tail)) / math.exp(log_t + log_density - log_tail)
        log_t += step
        if abs(step) < 1e-15:
            break
    return math.copysign(math.exp(log_t), probability - 0.5)


def _log_tail_and_density(t: float, degrees_of_freedom: int) -> tuple[float, float]:
    """Logarithms of P(T > t) and of the density at t > 0."""
    a, b = degrees_of_freedom / 2, 0.5
    log_x, log_1mx = -math.log1p(t * t / degrees_of_freedom), -math.log1p(degrees_of_freedom / (t * t))
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    log_power = a * log_x + b * log_1mx - log_beta
    if math.exp(log_x) < (a + 1) / (a + b + 2):  # where the continued fraction converges fast
        log_tail = log_power - math.log(a * _beta_fraction(math.exp(log_x), a, b)) + math.log(0.5)
    else:
        log_tail = math.log(0.5 * (1 - math.exp(log_power) / (b * _beta_fraction(math.exp(log_1mx), b, a))))
    return log_tail, (a + 0.5) * log_x - 0.5 * math.log(degrees_of_freedom) - log_beta


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction 1 + d_1 / (1 + d_2 / ...) of the incomplete beta function, from its end (DLMF 8.17.22)."""
    fraction = 1.0
    for m in range(200, 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        fraction = 1 + odd / (1 + even / fraction)
    return fraction


def sign_flip_p(differences: ArrayLike, *, generator: np.random.Generator | int = 0, samples: int = 100_000) -> float:
    """Two-sided paired sign-flip test: how often is |sum| as large as observed when every sign is drawn anew?

        p = #{s in {-1, 1}^n : |sum s_i d_i| >= |sum d_i|} / 2^n        n <= 16: all flips
        p = (k + 1) / (samples + 1)                                     n > 16: k of the sampled flips

    differences  [n], one per pair; under the null hypothesis their signs are exchangeable
    generator    numpy's, or a seed; used for n > 16 only
    Returns      p in [2 / 2^n, 1], above n = 16 in [1 / (samples + 1), 1]: 1 where all differences are 0; NaN without a
                 pair or with a NaN among them
    Numerics     sums that agree up to rounding are ties, and ties count
    Source       Fisher 1935, The Design of Experiments, chapter 3; (k + 1) / (m + 1): Phipson and Smyth 2010,
                 doi:10.2202/1544-6115.1585
    """
    d = _vector(differences)
    if len(d) == 0 or not np.isfinite(d).all():
        return math.nan
    threshold = abs(d.sum()) - TIE * np.abs(d).sum()
    if len(d) <= EXACT_UP_TO:
        sums = np.zeros(1)
        for difference in d:
            sums = np.concatenate([sums + difference, sums - difference])
        return float((np.abs(sums) >= threshold).mean())
    generator = np.random.default_rng(generator)
    reached = 0
    at_once = max(1, ELEMENTS_AT_ONCE // len(d))
    for start in range(0, samples, at_once):
        flipped = generator.integers(2, size=(min(at_once, samples - start), len(d)), dtype=np.int8)
        reached += int((np.abs(2 * (flipped @ d) - d.sum()) >= threshold).sum())
    return (reached + 1) / (samples + 1)


def smallest_p(n: int) -> float:
    """The smallest p that the exact sign-flip test can give with n pairs: 2 / 2^n, 1 for n < 2."""
    return min(1.0, 2.0 ** (1 - n))


def seeds_needed(alpha: float, comparisons: int = 1) -> int:
    """The smallest n at which a sign-flip test can reject at all under Holm: comparisons 2 / 2^n <= alpha."""
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is {alpha}. A level of significance lies between 0 and 1, like 0.05.")
    n = 1
    while comparisons * smallest_p(n) > alpha:
        n += 1
    return n


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm's step-down correction: adjusted p-values; rejecting those <= alpha errs at all with probability <= alpha.

        p~_(i) = max_{j <= i} min(1, (m - j + 1) p_(j))        p_(1) <= ... <= p_(m)

    p_values  any number; NaN (nothing was tested) stays NaN and does not count in m
    Returns   in the order given
    Source    Holm 1979, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6
    """
    p = _vector(p_values)
    adjusted = np.full(len(p), math.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # argsort puts NaN last
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return adjusted


def probability_of_improvement(
    a: ArrayLike,
    b: ArrayLike,
    *,
    paired: bool = True,
    confidence: float = 0.95,
    resamples: int = 10_000,
    generator: np.random.Generator | int = 0,
) -> Estimate:
    """Probability that a run of A scores above a run of B, averaged over tasks, with a percentile bootstrap interval.

        paired      P = 1/n sum_i w(a_i, b_i)                w(a, b) = 1 if a > b, 1/2 if a = b, 0 if a < b
        unpaired    P = 1/(n m) sum_i sum_j w(a_i, b_j)

    a, b      [runs] or [runs, tasks], larger is better; the same runs where paired (run i of both has one seed)
    paired    False is rliable's definition: runs of A and B are independent
    Numerics  the bootstrap resamples pairs, or the runs of A and of B; it has no width where every run wins
    Source    Agarwal et al. 2021, arXiv:2108.13264, section 4.3; Mann and Whitney 1947
    """
    a, b = _runs_by_tasks(a), _runs_by_tasks(b)
    if a.shape[1] != b.shape[1] or (paired and len(a) != len(b)):
        raise UsageError(
            f"Scores of shapes {a.shape} and {b.shape} cannot be compared{' in pairs' if paired else ''}. "
            "Give both the same tasks, and the same runs where they are paired."
        )
    if 0 in (*a.shape, *b.shape):
        return Estimate(math.nan, math.nan, math.nan)
    generator = np.random.default_rng(generator)
    value, resampled = 0.0, np.zeros(resamples)
    for scores_a, scores_b in zip(a.T, b.T, strict=True):
        counts_a = _counts(generator, len(a), resamples)
        if paired:
            wins = _wins(scores_a, scores_b)
            resampled += counts_a @ wins / len(a)
        else:
            wins = _wins(scores_a[:, None], scores_b)
            counts_b = _counts(generator, len(b), resamples)
            resampled += ((counts_a @ wins) * counts_b).sum(-1) / wins.size
        value += float(wins.mean())
    low, high = _percentiles(resampled / a.shape[1], confidence)
    return Estimate(value / a.shape[1], float(low), float(high))


def _wins(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(a) | np.isnan(b), math.nan, (a > b) + 0.5 * (a == b))


# --- many runs on several tasks ----------------------------------------------------------------------------------


def interquartile_mean(scores: ArrayLike, axis: int | tuple[int, ...] | None = None) -> np.ndarray | np.float64:
    """Mean of the middle half: floor(n / 4) of the n scores are left out at either end.

    scores    any shape; axis: those over which the mean is taken, all by default
    Returns   NaN where a score is NaN
    Source    Agarwal et al. 2021, arXiv:2108.13264, section 4.3; scipy.stats.trim_mean(scores, 0.25)
    """
    scores = np.asarray(scores, dtype=float)
    axes = range(scores.ndim) if axis is None else {a % scores.ndim for a in np.atleast_1d(axis)}
    kept = [a for a in range(scores.ndim) if a not in axes]
    flat = scores.transpose(*kept, *sorted(axes)).reshape(*(scores.shape[a] for a in kept), -1)
    n = flat.shape[-1]
    if n == 0:
        return np.full(flat.shape[:-1], math.nan)[()]
    cut = n // 4
    middle = np.partition(flat, (cut, n - cut - 1), axis=-1)[..., cut : n - cut]
    # A partition moves NaN to the upper end, where it would be cut off unseen.
    return np.where(np.isnan(flat).any(-1), math.nan, middle.mean(-1))[()]


def stratified_bootstrap_interval(
    scores: ArrayLike,
    statistic: Callable[..., ArrayLike] = interquartile_mean,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    generator: np.random.Generator | int = 0,
) -> Estimate:
    """A statistic of all scores with a percentile bootstrap interval that resamples the runs of every task by itself.

    scores     [runs, tasks]; with few runs the interval is too narrow (measured over 10 tasks: a nominal 95 % covers
               88, 90, 94 % at 3, 5, 10 runs), so n belongs beside it
    statistic  reduces [..., runs, tasks] with axis=(-2, -1): interquartile_mean, np.mean, np.median ...
    Source     Agarwal et al. 2021, arXiv:2108.13264, section 4.1
    """
    scores = _runs_by_tasks(scores)
    runs, tasks = scores.shape
    if scores.size == 0:
        return Estimate(math.nan, math.nan, math.nan)
    generator = np.random.default_rng(generator)
    flat, columns = scores.ravel(), np.arange(tasks)
    at_once = max(1, ELEMENTS_AT_ONCE // scores.size)
    values = [
        np.asarray(statistic(flat.take(rows * tasks + columns), axis=(-2, -1)))
        for start in range(0, resamples, at_once)
        for rows in [generator.integers(runs, size=(min(at_once, resamples - start), runs, tasks))]
    ]
    low, high = _percentiles(np.concatenate(values), confidence)
    return Estimate(float(np.asarray(statistic(scores, axis=(-2, -1)))), float(low), float(high))


class Profile(NamedTuple):
    """A curve with its band, one value per abscissa."""

    x: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def performance_profile(
    scores: ArrayLike,
    thresholds: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    generator: np.random.Generator | int = 0,
) -> Profile:
    """Fraction of the runs, over all tasks, that score above each threshold, with a pointwise bootstrap band.

        F(tau) = 1/(M N) sum_m sum_n 1[score_{n,m} > tau]

    scores      [runs, tasks], larger is better; a NaN (a diverged run) is above no threshold
    thresholds  [x]
    Source      Agarwal et al. 2021, arXiv:2108.13264, section 4.2; the band resamples the runs of every task by itself
    """
    scores, thresholds = _runs_by_tasks(scores), _vector(thresholds)
    above = (scores[:, :, None] > thresholds).astype(float)  # [runs, tasks, x]
    if scores.size == 0:
        empty = np.full(len(thresholds), math.nan)
        return Profile(thresholds, empty, empty, empty)
    generator = np.random.default_rng(generator)
    counts = _counts(generator, len(scores), (resamples, scores.shape[1]))  # [resamples, tasks, runs]
    resampled = np.tensordot(counts, above.transpose(1, 0, 2), axes=2) / scores.size
    return Profile(thresholds, above.mean((0, 1)), *_percentiles(resampled, confidence))


# --- speed: time to a target -------------------------------------------------------------------------------------


def time_to_target(steps: ArrayLike, values: ArrayLike, target: float, higher_is_better: bool = True) -> float:
    """The first step (or second, or example) at which the target is reached, not interpolated; inf where it never is.

    steps, values  [n], one per evaluation; a NaN reaches nothing
    """
    steps, values = _vector(steps), _vector(values)
    reached = values >= target if higher_is_better else values <= target
    return float(steps[reached].min(initial=math.inf))


def performance_ratios(times: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    """Every method's time relative to the fastest method's on the same task.

        r_{m,t} = time_{m,t} / min_m' time_{m',t}

    times     per method [tasks], >= 0; inf or NaN: the target was missed
    Returns   per method [tasks], >= 1; inf for a miss, also on a task that every method misses
    Source    Dolan and More 2002, arXiv:cs/0102001, section 2
    """
    lengths = {name: np.size(of_method) for name, of_method in times.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"The methods have times for different numbers of tasks: {lengths}. Give a miss as inf.")
    if not times:
        return {}
    matrix = np.stack([_vector(of_method) for of_method in times.values()])
    matrix = np.where(np.isnan(matrix), math.inf, matrix)
    best = matrix.min(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The fastest is 1 by definition: at time 0 the quotient is not, and where all miss there is no fastest.
        ratios = np.where(np.isinf(matrix), math.inf, np.where(matrix == best, 1.0, matrix / best))
    return dict(zip(times, ratios, strict=True))


def tau_profile(times: Mapping[str, ArrayLike], taus: ArrayLike) -> dict[str, np.ndarray]:
    """Per method, the fraction of the tasks that it solves within tau times the fastest method's time.

        rho_m(tau) = 1/T #{t : r_{m,t} <= tau}        r of performance_ratios; a miss counts at no tau

    times     as performance_ratios takes them          taus   [x], >= 1
    Source    Dolan and More 2002, arXiv:cs/0102001, section 2
    """
    taus = _vector(taus)
    return {
        name: ((r[:, None] <= taus) & np.isfinite(r)[:, None]).mean(0) if len(r) else np.full(len(taus), math.nan)
        for name, r in performance_ratios(times).items()
    }


def area_under_profile(times: Mapping[str, ArrayLike], r_max: float = 4.0) -> dict[str, float]:
    """Per method, the area under its tau profile between 1 and r_max, normalised to [0, 1]: 1 is always fastest.

        1/(r_max - 1) integral_1^r_max rho_m(tau) dtau = mean_t max(0, r_max - r_{m,t}) / (r_max - 1)

    times     as performance_ratios takes them          r_max  > 1; AlgoPerf's is 4
    Source    Dahl et al. 2023, arXiv:2306.07179
    Differs   exact; AlgoPerf's code takes the trapezoidal rule on a grid of taus
    """
    return {
        name: float((np.maximum(0.0, r_max - r) / (r_max - 1)).mean()) if len(r) else math.nan
        for name, r in performance_ratios(times).items()
    }


# --- tuning: the best of k ---------------------------------------------------------------------------------------


def expected_best_of_k(scores: ArrayLike, k: int, higher_is_better: bool = True) -> float:
    """Expected best score of k trials, estimated from n >= k trials: the mean over all subsets of k of their best.

        E_k = sum_{i=k}^n C(i-1, k-1) / C(n, k) s_(i)        s_(1) <= ... <= s_(n)

    scores    [n] on validation, one per random trial; a diverged trial used budget: give it the score of chance
    Source    Dodge et al. 2019, arXiv:1909.03004, for the quantity; Tang et al. 2020, arXiv:2004.13705, for this
              estimator
    Differs   Dodge et al. draw the k trials with replacement, sum_i s_(i) ((i/n)^k - ((i-1)/n)^k): that is biased
              downwards, because a trial drawn twice cannot improve on itself. Without replacement it is unbiased.
    """
    scores = _vector(scores)
    if not 1 <= k <= len(scores):
        raise UsageError(f"The best of {k} cannot be estimated from {len(scores)} trials. Choose k in 1..n.")
    return float(_best_of_k(scores[None], [k], higher_is_better)[0, 0])


def best_of_k_curve(
    scores: ArrayLike,
    higher_is_better: bool = True,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    generator: np.random.Generator | int = 0,
) -> Profile:
    """expected_best_of_k for k = 1..n with a pointwise percentile bootstrap band over the trials.

    scores    [n] as expected_best_of_k takes them
    Numerics  towards k = n the band is too narrow on the good side: no resample holds a trial better than the best.
              Read it for k up to about n / 2.
    """
    scores = _vector(scores)
    ks = np.arange(1, len(scores) + 1)
    if len(scores) == 0:
        return Profile(ks, *(np.zeros(0) for _ in range(3)))
    generator = np.random.default_rng(generator)
    drawn = scores[generator.integers(len(scores), size=(resamples, len(scores)))]
    resampled = _best_of_k(drawn, ks, higher_is_better)
    return Profile(ks, _best_of_k(scores[None], ks, higher_is_better)[0], *_percentiles(resampled, confidence))


def _best_of_k(scores: np.ndarray, ks: Sequence[int] | np.ndarray, higher_is_better: bool) -> np.ndarray:
    """[samples, n] -> [samples, len(ks)]."""
    n = scores.shape[1]
    ascending = np.sort(scores if higher_is_better else -scores, axis=1)
    # From the best downwards: C(n-1, k-1) / C(n, k) = k / n, then the quotient C(i-2, k-1) / C(i-1, k-1) of neighbours.
    i = np.arange(n, 1, -1)
    k = np.asarray(ks)[:, None]
    quotients = np.maximum(0, i - k) / (i - 1)
    weights = k / n * np.cumprod(np.concatenate([np.ones((len(k), 1)), quotients], axis=1), axis=1)
    best = ascending[:, ::-1] @ weights.T
    return best if higher_is_better else -best


# --- the table and the verdicts ----------------------------------------------------------------------------------


Verdict = Literal["better", "worse", "no difference shown", "too few seeds", "baseline"]


@dataclass(frozen=True)
class Comparison:
    """One row of ``compare``. NaN where there is nothing to say."""

    name: str
    n: int  # seeds with a finite score of the method and of the baseline
    missing: int  # seeds of either without such a pair
    diverged: int
    mean: float  # over the n seeds
    baseline_mean: float  # over the same seeds
    difference: float  # mean - baseline_mean, whichever direction is better
    low: float  # t interval of the difference
    high: float
    p: float  # two-sided sign-flip test
    holm_p: float  # corrected over the family
    family: int  # methods that were tested against the baseline
    probability_of_improvement: float  # of the method, by pairs
    verdict: Verdict
    words: str  # what has to be said beside the numbers, sentences joined by "; "; may be empty


def compare(
    groups: Mapping[str, Mapping[int, float]],
    baseline: str,
    higher_is_better: bool = True,
    confidence: float = 0.95,
    alpha: float = 0.05,
    *,
    diverged: Mapping[str, int] | None = None,
    trials: Mapping[str, int] | None = None,
) -> list[Comparison]:
    """Every method against the baseline on the seeds that both have; the baseline's row first, then the order given.

    A verdict is "better" or "worse" only where Holm's p is at most alpha; "too few seeds" where no outcome on so many
    pairs could have brought it there, the other methods' p being what they are.

    groups    per method {seed: score}; a score that is not finite is missing
    diverged  per method, how many runs diverged, whether or not they are among the scores: said in words
    trials    per method, how many configurations were tried in tuning: said in words where it is not the baseline's
    Source    t_interval, sign_flip_p, holm, probability_of_improvement
    """
    if baseline not in groups:
        raise UsageError(
            f"The baseline '{baseline}' is not among the results{nearest(baseline, groups) or '.'} "
            f"Choose one of: {', '.join(groups)}."
        )
    diverged, trials = diverged or {}, trials or {}
    finite = {name: {seed: s for seed, s in scores.items() if math.isfinite(s)} for name, scores in groups.items()}
    names = [name for name in groups if name != baseline]
    pairs = {name: sorted(finite[name].keys() & finite[baseline].keys()) for name in names}
    of_method = {name: np.array([finite[name][seed] for seed in pairs[name]]) for name in names}
    of_baseline = {name: np.array([finite[baseline][seed] for seed in pairs[name]]) for name in names}
    p_values = np.array([sign_flip_p(of_method[name] - of_baseline[name]) for name in names])
    corrected = holm(p_values)
    family = int(np.count_nonzero(~np.isnan(p_values)))

    def notes(name: str) -> list[str]:
        said = []
        if diverged.get(name):
            said.append(f"{diverged[name]} of {len(finite[name]) + diverged[name]} runs diverged: not in the mean")
        if name in trials and trials[name] != trials.get(baseline, trials[name]):
            said.append(f"tuned with {trials[name]} trials, the baseline with {trials[baseline]}")
        return said

    own = np.array(list(finite[baseline].values()))
    mean = float(own.mean()) if len(own) else math.nan
    rows = [
        Comparison(
            name=baseline,
            n=len(own),
            missing=len(groups[baseline]) - len(own),
            diverged=diverged.get(baseline, 0),
            mean=mean,
            baseline_mean=mean,
            difference=math.nan,
            low=math.nan,
            high=math.nan,
            p=math.nan,
            holm_p=math.nan,
            family=family,
            probability_of_improvement=math.nan,
            verdict="baseline",
            words="; ".join(notes(baseline)),
        )
    ]
    for index, name in enumerate(names):
        a, b, n = of_method[name], of_baseline[name], len(pairs[name])
        interval = t_interval(a - b, confidence)
        gain = a - b if higher_is_better else b - a
        missing = len(groups[name].keys() | groups[baseline].keys()) - n
        said = notes(name)
        if missing:
            said.append(f"{missing} of {n + missing} seeds have no pair: not in the mean")
        best_case = p_values.copy()
        best_case[index] = smallest_p(n)
        verdict: Verdict
        if corrected[index] <= alpha:
            verdict = "better" if gain.mean() > 0 else "worse"
        elif holm(best_case)[index] > alpha:
            verdict = "too few seeds"
            said.insert(0, too_few(alpha, max(1, family)))
        else:
            verdict = "no difference shown"
        if verdict in ("no difference shown", "too few seeds") and (interval.low > 0 or interval.high < 0):
            said.append("the interval of this difference alone leaves out 0")
        rows.append(
            Comparison(
                name=name,
                n=n,
                missing=missing,
                diverged=diverged.get(name, 0),
                mean=float(a.mean()) if n else math.nan,
                baseline_mean=float(b.mean()) if n else math.nan,
                difference=interval.value,
                low=interval.low,
                high=interval.high,
                p=float(p_values[index]),
                holm_p=float(corrected[index]),
                family=family,
                probability_of_improvement=float(_wins(gain, np.zeros(n)).mean()) if n else math.nan,
                verdict=verdict,
                words="; ".join(said),
            )
        )
    return rows


def too_few(alpha: float, comparisons: int) -> str:
    """The sentence that says how many seeds a test in a family of so many comparisons needs."""
    family = f" (one of {comparisons} comparisons)" if comparisons > 1 else ""
    return f"{seeds_needed(alpha, comparisons)} seeds are needed before this test can reject{family}"


@dataclass(frozen=True)
class ClaimVerdict:
    """What the runs say about "the method is better than the baseline", or "it is as good, within a margin"."""

    verdict: Literal["supported", "contradicted", "inconclusive"]
    n: int
    difference: float  # mean of method - baseline over the pairs, whichever direction is claimed
    low: float
    high: float
    words: str


def verdict_of_claim(
    method: Mapping[int, float],
    baseline: Mapping[int, float],
    higher_is_better: bool = True,
    confidence: float = 0.95,
    *,
    margin: float | None = None,
) -> ClaimVerdict:
    """The verdict on a paper's claim that the method beats the baseline, from the t interval of the paired differences.

        supported      the interval lies wholly on the claimed side of 0
        contradicted   it lies wholly on the other side
        inconclusive   it holds 0, or there are fewer than 2 pairs

    With a margin the claim is that the method is as good as the baseline, |difference| < margin, whichever direction is
    better: two one-sided tests, each at (1 - confidence) / 2.

        supported      the interval lies wholly inside (-margin, margin)
        contradicted   it lies wholly outside, beyond one of the two
        inconclusive   it holds one of them, or there are fewer than 2 pairs

    method, baseline  {seed: score}; a score that is not finite is missing
    Source            Schuirmann 1987, doi:10.1007/BF01068419, for the two one-sided tests
    """
    seeds = method.keys() & baseline.keys()
    pairs = sorted(seed for seed in seeds if math.isfinite(method[seed]) and math.isfinite(baseline[seed]))
    differences = np.array([method[seed] - baseline[seed] for seed in pairs])
    interval = t_interval(differences, confidence)
    low, high = (interval.low, interval.high) if higher_is_better else (-interval.high, -interval.low)
    said = []
    verdict: Literal["supported", "contradicted", "inconclusive"] = "inconclusive"
    if len(pairs) < 2:
        said.append(f"an interval needs 2 seeds, {len(pairs)} of them {'has' if len(pairs) == 1 else 'have'} a pair")
    elif low > 0 if margin is None else -margin < low and high < margin:
        verdict = "supported"
    elif high < 0 if margin is None else low > margin or high < -margin:
        verdict = "contradicted"
    else:
        said.append("the interval holds 0" if margin is None else f"the interval crosses the margin of {margin:g}")
    if len(pairs) > 1 and np.ptp(differences) == 0:
        said.append("all differences are equal, so that the interval has no width")
    missing = len(method.keys() | baseline.keys()) - len(pairs)
    if missing:
        said.append(f"{missing} of {len(pairs) + missing} seeds have no pair: not in the mean")
    return ClaimVerdict(verdict, len(pairs), *interval, words="; ".join(said))


# --- shared ------------------------------------------------------------------------------------------------------


def _vector(values: ArrayLike) -> np.ndarray:
    return np.asarray(values, dtype=float).reshape(-1)


def _runs_by_tasks(scores: ArrayLike) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if scores.ndim not in (1, 2):
        raise UsageError(f"Scores of shape {scores.shape} are not [runs] or [runs, tasks]. Give one axis or two.")
    return scores if scores.ndim == 2 else scores[:, None]


def _counts(generator: np.random.Generator, runs: int, size: int | tuple[int, ...]) -> np.ndarray:
    """How often each run is drawn when as many are drawn with replacement: [*size, runs]."""
    return generator.multinomial(runs, np.full(runs, 1 / runs), size=size).astype(float)


def _percentiles(resampled: np.ndarray, confidence: float) -> np.ndarray:
    """[2, ...]: the bounds that hold ``confidence`` of the resampled values, along the first axis."""
    return np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
