"""What the report says, from the records and metrics of the runs: words, tables and charts, no HTML.

Every statistic is one of statistics.py or comparing.py; here they are only asked for and arranged.
"""

import json
import math
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lossbench.errors import UsageError
from lossbench.metrics import higher_is_better
from lossbench.results import collect, comparing, record, statistics
from lossbench.results.comparing import DatasetComparison, Record
from lossbench.results.tables import Cell, Table, number_texts

Rows = Sequence[Mapping[str, Any]]

HUES = 7  # methods beside the baseline that get a colour; more cannot be told apart
POINTS = 60  # of one curve, at most
POINTS_IN_ALL = 24_000  # of all curves of the page: what keeps it below 2 MB
LOGARITHMIC_FROM = 100.0  # largest over smallest value of a curve
THRESHOLDS = 81  # of a performance profile
FADED = -1  # the style of a method beyond HUES: thin and grey
KL, GAINS = "test/kl", ("test/reward", "test/win_rate")  # what a policy costs, and what it brings: the first there is
GAP, GAIN = "test/frontier_gap", "test/reward_gain"  # to the best policy of the same KL; over the reference's reward
FRONTIER = re.compile(r"test/frontier_([\d.]+)$")  # the reward of the best policy of this KL
NOT_REPEATED = ("search", "outputs", "retry", "fail_fast", "seed")  # a trial's own values stand beside its search


@dataclass(frozen=True)
class Question:
    """What is compared: the options of the command."""

    by: str = "loss"
    metric: str | None = None  # None: the first test metric that a data set's runs report
    baseline: str | None = None
    where: Sequence[str] = ()
    tuned: bool = False
    mix: bool = False
    higher: bool | None = None


@dataclass(frozen=True)
class Curve:
    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()  # of a band; empty where there is none
    high: Sequence[float] = ()
    diverged: bool = False


@dataclass(frozen=True)
class LineChart:
    key: str  # the stem of its file
    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    logarithmic: bool = False
    stairs: bool = False  # a value holds until the next x


@dataclass(frozen=True)
class Interval:
    name: str
    value: float
    low: float
    high: float
    verdict: str = ""


@dataclass(frozen=True)
class IntervalChart:
    key: str
    title: str
    x_label: str
    rows: Sequence[Interval]
    better: Literal["left", "right"]
    zero: bool  # a difference, with a line at 0


@dataclass(frozen=True)
class Points:
    """The runs of a method, a point each."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    words: Sequence[str]  # which run a point is


@dataclass(frozen=True)
class ScatterChart:
    key: str
    title: str
    x_label: str
    y_label: str
    groups: Sequence[Points]
    limits: Sequence[Curve] = ()  # what no point can be above, in grey


Chart = LineChart | IntervalChart | ScatterChart


@dataclass(frozen=True)
class Sentence:
    """One comparison in words."""

    dataset: str
    name: str
    verdict: str
    words: str  # 'better than cross_entropy'
    numbers: str
    notes: str
    gain: float  # the difference, positive where it is for the better; NaN where there is none


@dataclass(frozen=True)
class Section:
    """Everything about the data sets that share one metric."""

    metric: str
    higher: bool
    found: Sequence[DatasetComparison]
    table: Table
    explanation: Sequence[str]
    sentences: Sequence[Sentence]
    differences: Sequence[IntervalChart]
    overall: Table | None  # over the data sets
    overall_charts: Sequence[Chart]
    overall_notes: Sequence[str]
    curves: Sequence[tuple[str, Sequence[LineChart]]]  # by data set
    tuning: Sequence[LineChart]
    policies: Sequence[ScatterChart]  # reward against KL, where the runs are of policies that have them
    policy_table: Table
    times: Table
    commands: Table


@dataclass(frozen=True)
class Report:
    question: Question
    created: str
    outputs: Path
    counts: Mapping[str, int]  # runs by status
    hidden: int  # runs that --where leaves out
    unfinished: Sequence[str]  # folders of runs that began and did not end
    sections: Sequence[Section]
    refused: Sequence[tuple[str, str]]  # (data set, why it is not compared)
    runs: Table
    environment: Table
    notes: Sequence[str]
    styles: Mapping[str, int]  # of every method: 0 the baseline, 1..HUES, FADED

    def charts(self) -> Iterable[Chart]:
        for section in self.sections:
            yield from section.differences
            yield from section.overall_charts
            for _, charts in section.curves:
                yield from charts
            yield from section.tuning
            yield from section.policies


def gather(outputs: Path, question: Question) -> Report:
    """Read the runs and arrange what is to be said about them.

    Raises UsageError where there is no run, where an option names what no run has, and where no data set's runs may be
    compared. Where some may and others not, the others are listed in ``refused``.
    """
    everything = collect.records(outputs)
    if not everything:
        raise UsageError(f"there are no finished runs in {outputs / 'runs'}. Run one: lossbench train")
    records = comparing.where(everything, question.where)
    if not records:
        raise UsageError(
            f"no run has {' and '.join(question.where)}. Leave out a --where; compare shows what there is."
        )
    compared, refused = _compared(records, question)
    styles = _styles(compared, question)
    sections = [_section(outputs, records, question, metric, found) for metric, found in compared]
    return Report(
        question=question,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        outputs=outputs,
        counts=_counted(entry["status"] for entry in records),
        hidden=len(everything) - len(records),
        unfinished=[folder.relative_to(outputs / "runs").as_posix() for folder in collect.unfinished(outputs)],
        sections=sections,
        refused=refused,
        runs=_runs_table(records, question.by, {metric: _higher(question, metric) for metric, _ in compared}),
        environment=_environment_table(records),
        notes=_notes(records),
        styles=styles,
    )


# --- which data sets may be compared, and by what ----------------------------------------------------------------


def _compared(
    records: Sequence[Record], question: Question
) -> tuple[list[tuple[str, list[DatasetComparison]]], list[tuple[str, str]]]:
    """[(metric, comparisons of the data sets that report it)] and [(data set, why not)]."""
    by_dataset: dict[str, list[Record]] = defaultdict(list)
    for entry in records:
        by_dataset[entry["choices"]["dataset"]].append(entry)
    reported = {dataset: _metrics(own) for dataset, own in by_dataset.items()}
    if question.metric and any(reported.values()):
        comparing.check_metric([entry for entry in records if entry["best"]], question.metric)
    refused: list[tuple[str, str]] = []
    by_metric: dict[str, list[str]] = defaultdict(list)
    for dataset, metrics in sorted(reported.items()):
        headline = question.metric or next((metric for metric in metrics if metric.startswith("test/")), None)
        if headline in metrics:
            by_metric[headline].append(dataset)
        elif metrics:
            refused.append((dataset, f"no run reports {headline or 'a test metric'}"))
        else:
            refused.append((dataset, f"none of its {len(by_dataset[dataset])} runs completed"))
    compared: list[tuple[str, list[DatasetComparison]]] = []
    errors: list[UsageError] = []
    for metric, datasets in by_metric.items():
        allowed: Sequence[str] = datasets
        try:
            compared.append((metric, _compare(by_dataset, allowed, question, metric)))
            continue
        except UsageError:
            allowed = []
        for dataset in datasets:
            try:
                _compare(by_dataset, [dataset], question, metric)
                allowed.append(dataset)
            except UsageError as error:
                errors.append(error)
                refused.append((dataset, str(error)))
        if allowed:
            compared.append((metric, _compare(by_dataset, allowed, question, metric)))
    if errors and not compared:
        raise errors[0]
    return compared, refused


def _compare(
    by_dataset: Mapping[str, Sequence[Record]], datasets: Sequence[str], question: Question, metric: str
) -> list[DatasetComparison]:
    return comparing.compare_runs(
        [entry for dataset in datasets for entry in by_dataset[dataset]],
        by=question.by,
        metric=metric,
        baseline=question.baseline,
        tuned=question.tuned,
        mix=question.mix,
        higher=question.higher,
    )


def _metrics(records: Sequence[Record]) -> list[str]:
    """What the completed runs report, in their order."""
    completed = (entry for entry in records if entry["status"] == "completed")
    return list(dict.fromkeys(key for entry in completed for key in entry["best"]))


def _higher(question: Question, metric: str) -> bool:
    return higher_is_better(metric) if question.higher is None else question.higher


def _styles(compared: Sequence[tuple[str, Sequence[DatasetComparison]]], question: Question) -> dict[str, int]:
    """The baseline and the methods that do best, by their mean rank over the data sets, get a colour."""
    baselines = list(dict.fromkeys(comparison.rows[0].name for _, found in compared for comparison in found))
    ranks: dict[str, list[float]] = defaultdict(list)
    for metric, found in compared:
        sign = 1.0 if _higher(question, metric) else -1.0
        for comparison in found:
            rows = sorted(comparison.rows[1:], key=lambda row: (math.isnan(row.mean), -sign * row.mean))
            for rank, row in enumerate(rows):
                ranks[row.name].append(rank / len(rows))
    names = sorted((name for name in ranks if name not in baselines), key=lambda name: float(np.mean(ranks[name])))
    styled = [*baselines, *names]
    coloured = styled[: HUES + 1]
    order = [*coloured[: len(baselines)], *sorted(coloured[len(baselines) :])]
    return {name: order.index(name) if name in order else FADED for name in styled}


# --- one section -------------------------------------------------------------------------------------------------


def _section(
    outputs: Path, records: Sequence[Record], question: Question, metric: str, found: list[DatasetComparison]
) -> Section:
    higher = _higher(question, metric)
    by, several = question.by, len(found) > 1
    selection = f"validation/{metric.rsplit('/', 1)[-1]}"
    groups, settings = {}, {}
    for comparison in found:
        own = [r for r in records if r["choices"]["dataset"] == comparison.dataset and r["status"] in record.FINISHED]
        runs = comparing.Runs(comparison.dataset, own)
        groups[comparison.dataset] = comparing.methods(runs, by, metric, question.tuned, question.mix, higher)[0]
        settings[comparison.dataset] = _settings(runs, by, selection, higher) if question.tuned else {}
    compared = [run for methods in groups.values() for runs in methods.values() for run in runs]
    rows = {run["folder"]: record.rows(outputs / "runs" / run["folder"]) for run in compared}
    points = max(8, min(POINTS, POINTS_IN_ALL // max(1, 2 * sum(map(len, groups.values())))))
    curves, times, policies, policy_rows = [], [], [], []
    for comparison in found:
        methods = _in_order(groups[comparison.dataset], comparison)
        charts = [
            _learning_curves(
                f"{key}-{comparison.dataset}", f"{comparison.dataset}: {label}", label, methods, rows, points
            )
            for key, label in (("training-loss", "train/loss"), ("validation", selection))
        ]
        curves.append((comparison.dataset, [chart for chart in charts if chart.curves]))
        for cells in _times(comparison, methods, rows, selection, higher):
            times.append([comparison.dataset, *cells] if several else cells)
        chart = _policies(comparison.dataset, methods)
        if chart is not None:
            policies.append(chart)
            for cells in _policy_rows(methods, chart.y_label):
                policy_rows.append([comparison.dataset, *cells] if several else cells)
    overall, overall_charts, notes = _over_datasets(found, metric, by, higher)
    columns = [by, "runs", "reached", "median steps", "baseline = 1"]
    policy_columns = [by, "runs", "mean KL", "mean reward or win rate", "mean gap to the frontier"]
    return Section(
        metric=metric,
        higher=higher,
        found=found,
        table=comparing.comparison_table(found, metric, by),
        explanation=comparing.explanation(found, metric, "higher" if higher else "lower"),
        sentences=[_sentence(c.dataset, c.rows[0].name, row, higher) for c in found for row in c.rows[1:]],
        differences=[_differences(c, metric, higher) for c in found if len(c.rows) > 1],
        overall=overall,
        overall_charts=overall_charts,
        overall_notes=notes,
        curves=curves,
        tuning=[chart for chart in (_tuning(d, s, selection, higher) for d, s in settings.items()) if chart],
        policies=policies,
        policy_table=Table(["dataset", *policy_columns] if several else policy_columns, policy_rows),
        times=Table(["dataset", *columns] if several else columns, times),
        commands=_commands_table(groups, found, by),
    )


def _in_order(groups: Mapping[str, Sequence[Record]], comparison: DatasetComparison) -> dict[str, Sequence[Record]]:
    return {row.name: groups[row.name] for row in comparison.rows}


PHRASES = {
    "better": "better than {}",
    "worse": "worse than {}",
    "no difference shown": "no difference from {} shown",
    "too few seeds": "too few seeds to tell it from {}",
}


def _sentence(dataset: str, baseline: str, row: statistics.Comparison, higher: bool) -> Sentence:
    mean, other = number_texts([row.mean, row.baseline_mean])
    difference, low, high = map(_signed, number_texts([row.difference, row.low, row.high]))
    seeds = f"n = {row.n} {'seed' if row.n == 1 else 'seeds'}"
    if row.n == 0:
        numbers = "No seed has a score of both"
    elif math.isnan(row.low):
        numbers = f"{mean} against {other}: {difference}, no interval from {seeds}"
    else:
        numbers = (
            f"{mean} against {other}: {difference} (95 % interval {low} to {high}), {seeds}, Holm p = {row.holm_p:.2g}"
        )
    words = PHRASES[row.verdict].format(baseline)
    gain = row.difference if higher else -row.difference
    return Sentence(dataset, row.name, row.verdict, words, numbers, row.words, gain)


def _signed(text: str) -> str:
    """A difference says that it is one."""
    return text if text.startswith("-") or not text.strip("0.") else f"+{text}"


def _differences(comparison: DatasetComparison, metric: str, higher: bool) -> IntervalChart:
    baseline = comparison.rows[0].name
    rows = [Interval(row.name, row.difference, row.low, row.high, row.verdict) for row in comparison.rows[1:]]
    rows.sort(key=lambda row: (math.isnan(row.value), row.value * (-1 if higher else 1)))
    return IntervalChart(
        key=f"difference-{comparison.dataset}",
        title=f"{comparison.dataset}: difference to {baseline}",
        x_label=f"difference in {metric}",
        rows=rows,
        better="right" if higher else "left",
        zero=True,
    )


# --- learning curves ---------------------------------------------------------------------------------------------


def _learning_curves(
    key: str, title: str, column: str, groups: Mapping[str, Sequence[Record]], rows: Mapping[str, Rows], points: int
) -> LineChart:
    curves = []
    for name, runs in groups.items():
        # A diverged run ends early; in the mean it would make a step that no run has. Where all diverged, they are all
        # that there is to see.
        completed = [run for run in runs if run["status"] == "completed"]
        series = [_series(rows[run["folder"]], column) for run in completed or runs]
        curve = mean_curve(name, [one for one in series if len(one[0])], points, diverged=not completed)
        if len(curve.x):
            curves.append(curve)
    values = [value for curve in curves for value in curve.y]
    logarithmic = bool(values) and min(values) > 0 and max(values) / min(values) >= LOGARITHMIC_FROM
    return LineChart(key, title, "step", column, curves, logarithmic)


def _series(rows: Rows, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one run; what was not finite is not there."""
    pairs = [(row["step"], row[column]) for row in rows if row.get(column) is not None]
    steps, values = zip(*pairs, strict=True) if pairs else ((), ())
    return np.asarray(steps, dtype=float), np.asarray(values, dtype=float)


def mean_curve(
    name: str, series: Sequence[tuple[np.ndarray, np.ndarray]], points: int = POINTS, diverged: bool = False
) -> Curve:
    """Mean over the runs with the t interval at each step, at no more than ``points`` steps.

    The steps are those of the shortest run where all runs have begun; the other runs are interpolated linearly there,
    which changes nothing where all were evaluated at the same steps.
    """
    if not series:
        return Curve(name, [], [])
    steps = min((x for x, _ in series), key=lambda x: x[-1])
    steps = steps[steps >= max(x[0] for x, _ in series)]
    steps = steps[np.unique(np.linspace(0, len(steps) - 1, min(points, len(steps))).round().astype(int))]
    values = np.stack([np.interp(steps, x, y) for x, y in series])
    with np.errstate(over="ignore", invalid="ignore"):  # the last values before a divergence can be of any size
        estimates = [statistics.t_interval(column) for column in values.T]
    kept = [i for i, e in enumerate(estimates) if math.isfinite(e.value)]
    band = len(series) > 1
    return Curve(
        name,
        [float(steps[i]) for i in kept],
        [estimates[i].value for i in kept],
        [estimates[i].low for i in kept] if band else [],
        [estimates[i].high for i in kept] if band else [],
        diverged,
    )


def _times(
    comparison: DatasetComparison,
    groups: Mapping[str, Sequence[Record]],
    rows: Mapping[str, Rows],
    selection: str,
    higher: bool,
) -> list[list[Cell]]:
    """[method, runs, how many reached the target, median steps, relative to the baseline's]; the target of a seed is
    the baseline's last validation score with the same seed."""
    targets = {run["seed"]: run["final"].get(selection)
               for run in groups[comparison.rows[0].name] if run["status"] == "completed"}  # fmt: skip
    found: list[list[Cell]] = []
    reference = math.nan
    for name, runs in groups.items():
        steps = np.array([
            statistics.time_to_target(*_series(rows[run["folder"]], selection), targets[run["seed"]], higher)
            for run in runs if targets.get(run["seed"]) is not None
        ])  # fmt: skip
        median = float(np.median(steps)) if len(steps) else math.inf  # a miss counts as infinitely late
        if not found:
            reference = median
        known = math.isfinite(median)
        ratio = median / reference if known and reference > 0 else None
        found.append([name, len(steps), int(np.isfinite(steps).sum()), median if known else None, ratio])
    return found


# --- over the data sets ------------------------------------------------------------------------------------------


def _over_datasets(
    found: Sequence[DatasetComparison], metric: str, by: str, higher: bool
) -> tuple[Table | None, list[Chart], list[str]]:
    """The table of interquartile means, its chart and the performance profile, and what has to be said beside them."""
    table = comparing.over_datasets_table(found, metric, by)
    if table is None or not table.rows:
        return None, [], []
    better: Literal["left", "right"] = "right" if higher else "left"
    intervals = [Interval(str(name), *map(float, numbers[:3])) for name, *numbers in table.rows]  # type: ignore[arg-type]
    title = "Interquartile mean over the data sets"
    means = IntervalChart("interquartile-mean", title, f"interquartile mean of {metric}", intervals, better, zero=False)
    notes = []
    left_out = sorted({name for comparison in found for name in comparison.scores} - {row.name for row in intervals})
    if left_out:
        notes.append(f"not here, because there is no seed with a score on every data set: {', '.join(left_out)}")
    scores = {interval.name: _matrix(found, interval.name) for interval in intervals}
    values = np.concatenate([matrix.ravel() for matrix in scores.values()])
    values = values[np.isfinite(values)]
    label = metric
    if values.min() < 0 or values.max() > 1:
        notes.append(f"{metric} has a scale of its own on each data set, so that its mean over them says little")
        references = np.array([comparison.rows[0].mean for comparison in found])
        if values.min() < 0 or not (references > 0).all():
            return table, [means], [*notes, "no profile: a score below 0 has no ratio to the baseline's"]
        label = f"{metric} / the baseline's mean"
        scores = {name: matrix / references for name, matrix in scores.items()}
        values = np.concatenate([matrix[np.isfinite(matrix)] for matrix in scores.values()])
    sign = 1.0 if higher else -1.0
    thresholds = np.unique(values)  # where a profile can step
    if len(thresholds) > THRESHOLDS:
        thresholds = np.linspace(thresholds[0], thresholds[-1], THRESHOLDS)
    margin = 0.02 * (thresholds[-1] - thresholds[0]) or 0.01
    thresholds = np.concatenate([[thresholds[0] - margin], thresholds, [thresholds[-1] + margin]])
    curves = []
    for name, matrix in scores.items():
        profile = statistics.performance_profile(sign * matrix, sign * thresholds)
        curves.append(Curve(name, thresholds.tolist(), *(part.tolist() for part in profile[1:])))
    title = f"Fraction of runs {'above' if higher else 'below'} each score"
    return table, [means, LineChart("profile", title, label, "fraction of runs", curves, stairs=True)], notes


def _matrix(found: Sequence[DatasetComparison], name: str) -> np.ndarray:
    """[seeds, data sets]: the scores of the seeds that ran on all data sets, NaN where such a run diverged."""
    seeds = sorted(set.intersection(*(set(comparison.scores[name]) for comparison in found)))
    return np.array([[comparison.scores[name][seed] for comparison in found] for seed in seeds])


# --- tuning ------------------------------------------------------------------------------------------------------


def _settings(runs: comparing.Runs, by: str, selection: str, higher: bool) -> dict[str, list[float]]:
    """The validation score of every setting of every method: the mean over its seeds; not finite where one diverged."""
    keys = [key for key in runs.varying() if key != by and key.split(".")[0] in (by, *comparing.TUNABLE)]
    settings: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for entry, config in zip(runs.records, runs.configs, strict=True):
        name = comparing.written(comparing.value_of(entry, by))
        settings[name][json.dumps({key: config.get(key) for key in keys}, sort_keys=True)].append(entry)
    sign = 1.0 if higher else -1.0
    return {name: [sign * comparing.validation_score(own, selection, higher) for own in options.values()]
            for name, options in settings.items()}  # fmt: skip


def _tuning(dataset: str, settings: Mapping[str, Sequence[float]], selection: str, higher: bool) -> LineChart | None:
    scores = {name: np.array(values) for name, values in settings.items() if len(values) > 1}
    finite = [value for values in scores.values() for value in values if math.isfinite(value)]
    if not finite:
        return None
    worst = min(finite) if higher else max(finite)  # a diverged trial used budget too
    curves = []
    for name, values in scores.items():
        profile = statistics.best_of_k_curve(np.where(np.isfinite(values), values, worst), higher)
        thin = np.unique(np.linspace(0, len(values) - 1, min(POINTS, len(values))).round().astype(int))
        curves.append(Curve(name, *(part[thin].tolist() for part in profile)))
    return LineChart(f"tuning-{dataset}", f"{dataset}: best of k settings", "settings tried, k",
                     f"expected best {selection}", curves)  # fmt: skip


# --- policies: what they gain against what it costs --------------------------------------------------------------


def _policies(dataset: str, groups: Mapping[str, Sequence[Record]]) -> ScatterChart | None:
    """Reward, or win rate, against the KL to the reference, a point a run; None where no run has both.

    Where runs record how much more the best policy of their KL has, and what it has at other KLs, these points are the
    limit. Runs share one where they share seed and reference, which shows in the reference's reward. Its points are
    exact; between them it is drawn straight, and the true one is concave, hence nowhere below.
    """
    completed = [run for runs in groups.values() for run in runs if run["status"] == "completed"]
    column = next((c for c in GAINS if any(_finite(run, KL, c) for run in completed)), None)
    if column is None:
        return None
    points: list[Points] = []
    limits: dict[tuple[int, float], set[tuple[float, float]]] = defaultdict(set)
    for name, runs in groups.items():
        shown = [run for run in runs if run["status"] == "completed" and _finite(run, KL, column)]
        values = [(run["best"][KL], run["best"][column]) for run in shown]
        if shown:
            words = [f"{name}, seed {run['seed']}" for run in shown]
            points.append(Points(name, [x for x, _ in values], [y for _, y in values], words))
        for run, (kl, reward) in zip(shown, values, strict=True):
            if column == GAINS[0] and _finite(run, GAP, GAIN):
                start = reward - run["best"][GAIN]
                known = {
                    float(m[1]): v for key, v in run["best"].items() if v is not None and (m := FRONTIER.match(key))
                }
                own = {(0.0, start), (kl, reward + run["best"][GAP]), *known.items()}
                limits[run["seed"], round(start, 6)] |= own
    furthest = max(max(group.x) for group in points)
    curves = []
    for (seed, _), own in sorted(limits.items()):
        ordered = [(x, y) for x, y in sorted(own) if x <= furthest]
        curves.append(Curve(f"the most with seed {seed}", [x for x, _ in ordered], [y for _, y in ordered]))
    return ScatterChart(f"reward-and-kl-{dataset}", f"{dataset}: {column} against KL", KL, column, points, curves)


def _policy_rows(groups: Mapping[str, Sequence[Record]], column: str) -> list[list[Cell]]:
    """[method, runs, mean KL, mean reward, mean gap to the frontier] over the runs of the chart."""
    rows: list[list[Cell]] = []
    for name, runs in groups.items():
        shown = [run["best"] for run in runs if run["status"] == "completed" and _finite(run, KL, column)]
        means = [float(np.mean([best[key] for best in shown])) if shown else None for key in (KL, column)]
        gaps = [best[GAP] for best in shown if best.get(GAP) is not None]
        rows.append([name, len(shown), *means, float(np.mean(gaps)) if gaps else None])
    return rows


def _finite(run: Record, *columns: str) -> bool:
    return all(run["best"].get(column) is not None and math.isfinite(run["best"][column]) for column in columns)


# --- runs, commands, environment ---------------------------------------------------------------------------------


def _runs_table(records: Sequence[Record], by: str, metrics: Mapping[str, bool]) -> Table:
    """One row a run, those that did not complete first."""
    groups = list(dict.fromkeys(["dataset", "model", "loss", "optimizer", *([by] if by != "task" else [])]))
    pairs = [(f"validation/{metric.rsplit('/', 1)[-1]}", metric) for metric in metrics]
    shown = list(dict.fromkeys(name for pair in pairs for name in pair))
    columns = ["folder", "status", *groups, "seed", *shown, "best step", "steps", "train seconds", "error", "command"]
    rows = []
    for entry in sorted(records, key=lambda r: (r["status"] == "completed", r["status"])):
        values = [value if isinstance(value, str) else None if value is None else comparing.written(value)
                  for value in (comparing.value_of(entry, key) for key in groups)]  # fmt: skip
        best = [entry["best"].get(name) for name in shown]
        time = (entry.get("time") or {}).get("train_seconds")
        rows.append([entry["folder"], entry["status"], *values, entry["seed"], *best, entry["best"].get("step"),
                     entry.get("steps"), time, _error(entry), command([entry])])  # fmt: skip
    return Table(columns, rows)


def _error(entry: Record) -> str | None:
    """The first line: the whole is in the run's folder."""
    error = entry["error"]
    return f"{error['type']}: {error['message']}".strip().splitlines()[0] if error else None


def _commands_table(
    groups: Mapping[str, Mapping[str, Sequence[Record]]], found: Sequence[DatasetComparison], by: str
) -> Table:
    rows = []
    for comparison in found:
        for name, runs in _in_order(groups[comparison.dataset], comparison).items():
            rows.append([comparison.dataset, name, "\n".join(commands(runs))])
    return Table(["dataset", by, "command"], rows)


def commands(runs: Sequence[Record]) -> list[str]:
    """What to type for these runs: one command for those that differ in their seed alone."""
    alike: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for run in runs:
        alike[_overrides(run)].append(run)
    return [command(own) for own in alike.values()]


def command(runs: Sequence[Record]) -> str:
    """The command of runs that differ in their seed alone, quoted for a POSIX shell."""
    seeds = ",".join(str(run["seed"]) for run in sorted(runs, key=lambda run: run["seed"]))
    words = ["lossbench", "train", *(["-m"] if len(runs) > 1 else []), *_overrides(runs[0]), f"seed={seeds}"]
    return shlex.join(words)


def _overrides(run: Record) -> tuple[str, ...]:
    return tuple(text for text in run["overrides"] if text.split("=", 1)[0] not in NOT_REPEATED)


def _environment_table(records: Sequence[Record]) -> Table:
    seen: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for entry in records:
        for key, value in (entry.get("environment") or {}).items():
            seen[key]["none" if value is None else str(value)] += 1
    rows: list[list[Cell]] = []
    for key, values in seen.items():
        for value, count in sorted(values.items(), key=lambda item: -item[1]):
            rows.append([key, value, count])
    return Table(["what", "value", "runs"], rows)


def _notes(records: Sequence[Record]) -> list[str]:
    """What makes runs less alike than a comparison wants."""
    said = []
    for key, consequence in (
        ("lossbench", "results of different versions may differ"),
        ("commit", "the code may have changed between runs"),
        ("torch", "results of different versions may differ in the last digits"),
        ("device", "results on different devices differ in the last digits"),
    ):
        values = {str((entry.get("environment") or {}).get(key)) for entry in records}
        if len(values) > 1:
            said.append(f"the runs have {len(values)} values of {key}: {consequence}")
    shared = sum(bool(entry.get("shared_device")) for entry in records)
    if shared:
        said.append(f"{shared} of {len(records)} runs shared their device: their times say little")
    resumed = sum(bool(entry.get("resumed")) for entry in records)
    if resumed:
        said.append(f"{resumed} of {len(records)} runs were interrupted and resumed")
    return said


def _counted(values: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for value in values:
        counts[value] += 1
    return dict(counts)
