"""From the records of an outputs folder to a comparison: which runs may stand side by side, and how they pair.

Runs are paired by seed, within one data set. What must not be mixed (other data, another model, another budget) is
refused in words; hyper-parameters that differ inside the compared group make separate methods (focal[gamma=1],
focal[gamma=2]); other hyper-parameters must be held fixed by --where, or tuned: then every method gets its best setting
by the validation metric, and the number of settings tried stands beside it.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lossbench.errors import UsageError, nearest
from lossbench.frozen import as_asked
from lossbench.metrics import higher_is_better
from lossbench.results.statistics import (
    Comparison,
    Verdict,
    compare,
    holm,
    interquartile_mean,
    smallest_p,
    stratified_bootstrap_interval,
    too_few,
)
from lossbench.results.tables import Table

Record = Mapping[str, Any]

IGNORED = ("seed", "outputs", "logger", "checkpoint", "paper", "search", "retry", "fail_fast", "time_limit", "choices",
           "device", "threads", "dataset", "data")  # fmt: skip
TUNABLE = ("optimizer", "schedule", "loss", "regularizer", "reweighting", "reduction", "augmentation", "clip_norm",
           "ema", "weight_decay_on_all", "precision", "head", "aggregation", "aggregation_of",
           "advantage")  # fmt: skip

MOST_NAMED = 40  # metrics in a message
OF_RECIPES = ("loss", "advantage", "reduction", "regularizer", "reweighting")  # what a recipe chooses


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{'optimizer.lr': 0.1, ...}; lists are values."""
    found: dict[str, Any] = {}

    def add(node: Mapping[str, Any], prefix: str) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                add(value, f"{prefix}{key}.")
            else:
                found[f"{prefix}{key}"] = value

    add(config, prefix)
    return found


@dataclass
class Runs:
    """The runs of one data set with what was read from them."""

    dataset: str
    records: list[Record]
    configs: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.configs = [_config(record) for record in self.records]

    def varying(self) -> list[str]:
        """The config keys that differ between these runs, in a stable order; a key that only some have counts once
        two of those that have it differ."""
        values: dict[str, set[str]] = defaultdict(set)
        for config in self.configs:
            for key, value in config.items():
                values[key].add(json.dumps(value))
        return sorted(key for key, seen in values.items() if len(seen) > 1)


def _config(record: Record) -> dict[str, Any]:
    """What can differ between runs: hyper-parameters by key, and the chosen names by group."""
    config = {key: value for key, value in record["config"].items() if key not in IGNORED}
    config["task"] = as_asked(config.get("task") or {})
    values = {key: value for key, value in flat(config).items() if not key.rsplit(".", 1)[-1].startswith("_")}
    choices = {key: value for key, value in record["choices"].items() if key not in ("paper", "dataset", "search")}
    return {**values, **choices}


def value_of(record: Record, key: str) -> Any:
    """The name chosen for a group, or the value of a config key; None where the run has none."""
    if key in record["choices"]:
        return record["choices"][key]
    return flat(record["config"]).get(key)


def where(records: Sequence[Record], conditions: Iterable[str]) -> list[Record]:
    """The records for which every 'key=value' (or 'key=value,value') holds. Raises UsageError for a key none has."""
    kept = list(records)
    for condition in conditions:
        key, sign, text = condition.partition("=")
        if not sign:
            raise UsageError(f"--where {condition} is not key=value, such as --where dataset=digits.")
        known = {k for record in records for k in (*record["choices"], *flat(record["config"]))}
        if key not in known:
            raise UsageError(f"--where {key}: no run has such a key{nearest(key, known) or '.'}")
        wanted = {written(_parsed(entry)) for entry in text.split(",")}
        kept = [record for record in kept if written(value_of(record, key)) in wanted]
    return kept


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def written(value: Any) -> str:
    """A value as people write it: 0.1, focal, [a,b], null."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


@dataclass(frozen=True)
class DatasetComparison:
    dataset: str
    rows: list[Comparison]
    trials: dict[str, int]
    notes: list[str]
    scores: dict[str, dict[int, float]]  # {method: {seed: score}}, NaN where a run diverged


def compare_runs(
    records: Sequence[Record],
    *,
    by: str,
    metric: str,
    baseline: str | None = None,
    tuned: bool = False,
    mix: bool = False,
    higher: bool | None = None,
    alpha: float = 0.05,
) -> list[DatasetComparison]:
    """One comparison for each data set; the Holm correction is over all of them.

    by        a group (loss, optimizer, schedule ...) or a config key (optimizer.lr)
    baseline  a value of ``by``; None: cross_entropy or adamw where present, else the first
    tuned     choose each method's hyper-parameters on the validation split
    mix       allow runs that differ in what must not be mixed
    Raises UsageError where there is nothing to compare, or what there is must not be compared.
    """
    ended = [record for record in records if record["status"] in ("completed", "diverged")]
    if not ended:
        raise UsageError("there are no finished runs to compare. Run some: lossbench train -m loss=cross_entropy,focal")
    check_metric(ended, metric)
    known = {key for record in ended for key in (*record["choices"], *flat(record["config"]))}
    if by not in known:
        near = nearest(by, known) or "."
        raise UsageError(f"--by {by}: no run has such a key{near} Use loss, optimizer, schedule or another key.")
    better_higher = higher_is_better(metric) if higher is None else higher
    by_dataset: dict[str, list[Record]] = defaultdict(list)
    for record in ended:
        by_dataset[record["choices"]["dataset"]].append(record)
    if baseline is not None:
        having = {dataset for dataset, own in by_dataset.items() if baseline in {written(value_of(r, by)) for r in own}}
        left_out = sorted(by_dataset.keys() - having) if having else []
        by_dataset = {dataset: own for dataset, own in by_dataset.items() if dataset not in left_out}
    else:
        left_out = []
    found: list[DatasetComparison] = []
    for dataset, own in sorted(by_dataset.items()):
        groups, trials, notes = methods(Runs(dataset, own), by, metric, tuned, mix, better_higher)
        if left_out and not found:
            notes.append(f"data sets left out, because nothing there has {by}={baseline}: {', '.join(left_out)}")
        if len(groups) < 2:
            notes.append(f"only one value of {by}: nothing to compare it with")
        scores = {name: {run["seed"]: _score(run, metric) for run in runs} for name, runs in groups.items()}
        diverged = {name: sum(run["status"] == "diverged" for run in runs) for name, runs in groups.items()}
        chosen = _baseline(baseline, by, list(groups))
        scores = {chosen: scores[chosen], **scores}
        rows = compare(scores, chosen, better_higher, alpha=alpha, diverged=diverged, trials=trials)
        found.append(DatasetComparison(dataset, rows, trials, notes, scores))
    return _over_all_datasets(found, alpha) if len(found) > 1 else found


def check_metric(records: Sequence[Record], metric: str) -> None:
    known = sorted({key for record in records for key in record["best"]})
    if known and metric not in known:
        near = nearest(metric, known) or "."
        usual = [key for key in known if key.startswith("test/") and key.count("/") == 1] or known
        shown = usual[:MOST_NAMED]
        more = f" and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
        raise UsageError(f"--metric {metric}: no run reports it{near} There are: {', '.join(shown)}{more}.")


def _score(record: Record, metric: str) -> float:
    value = record["best"].get(metric) if record["status"] == "completed" else None
    return math.nan if value is None else value


def _baseline(wanted: str | None, by: str, names: list[str]) -> str:
    if wanted is not None:
        if wanted in names:
            return wanted
        variants = [name for name in names if name.startswith(f"{wanted}[")]
        if len(variants) == 1:
            return variants[0]
        choice = f" It has several settings: {', '.join(variants)}." if variants else nearest(wanted, names) or "."
        known = ", ".join(names)
        raise UsageError(f"--baseline {wanted}: no finished run has {by}={wanted}{choice} There are: {known}.")
    return next((name for name in ("cross_entropy", "adamw", "wsd", "mlp") if name in names), names[0])


def _belongs(key: str, by: str) -> bool:
    """Whether the key is a part of what is compared."""
    group = key.split(".")[0]
    return group == by or (by == "recipe" and group in OF_RECIPES)


def methods(
    runs: Runs, by: str, metric: str, tuned: bool, mix: bool, better_higher: bool
) -> tuple[dict[str, list[Record]], dict[str, int], list[str]]:
    """({method: its runs, one a seed}, {method: settings tried}, notes)."""
    inside = [key for key in runs.varying() if key != by and _belongs(key, by)]
    varying = [key for key in runs.varying() if key != by and key not in inside]
    if "task" in varying and by == "loss":
        varying.remove("task")  # a teacher, say, is part of what is compared; the metrics are the same
    forbidden = [key for key in varying if key.split(".")[0] not in TUNABLE]
    tunable = [key for key in varying if key.split(".")[0] in TUNABLE]
    notes: list[str] = []
    if (forbidden and not mix) or (tunable and not tuned):
        needed = _needed(runs.records)
        kept = [record for record in runs.records if record["run"] not in needed]
        left_out = len(runs.records) - len(kept)
        if kept and left_out:
            # What was trained on the spot for others differs from them in more than the method.
            groups, trials, notes = methods(Runs(runs.dataset, kept), by, metric, tuned, mix, better_higher)
            return (
                groups,
                trials,
                [f"runs left out, because others have their models from them: {left_out}", *notes],
            )
    if forbidden and not mix:
        raise UsageError(
            f"runs on {runs.dataset} differ in {_differences(runs, forbidden)}: these must not be mixed. "
            f"Choose with --where {forbidden[0]}=..., or say --mix."
        )
    if forbidden:
        notes.append(f"mixed, as asked: {_differences(runs, forbidden)}")
    if tunable and not tuned:
        raise UsageError(
            f"runs on {runs.dataset} differ in {_differences(runs, tunable)}. Choose with --where {tunable[0]}=..., or "
            "say --tuned to give every method its best setting by the validation metric."
        )
    settings: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    several = _several(runs, by, inside)
    for record, config in zip(runs.records, runs.configs, strict=True):
        name = written(value_of(record, by))
        own = [key for key in inside if key in config]
        told = [key for key in own if (name, key) in several]
        label = ",".join(f"{key.removeprefix(by + '.')}={written(config[key])}" for key in told)
        tuning = {key: config.get(key) for key in (*tunable, *(own if tuned else ()))}
        if label and not tuned:
            name = f"{name}[{label}]"
        settings[name][json.dumps(tuning, sort_keys=True)].append(record)
    selection = f"validation/{metric.rsplit('/', 1)[-1]}"
    chosen = {
        name: max(options.values(), key=lambda own: validation_score(own, selection, better_higher))
        for name, options in settings.items()
    }
    if mix:
        chosen = {name: list({run["seed"]: run for run in own}.values()) for name, own in chosen.items()}
    if tuned:
        notes.append(f"tuned: every method with its best setting by {selection}, the mean over its seeds")
    trials = {name: len(options) for name, options in settings.items()}
    if len(set(trials.values())) > 1:
        notes.append("the number of settings tried differs between the methods: the one with more had more chances")
    return dict(sorted(chosen.items())), trials, notes


def _needed(records: Sequence[Record]) -> set[str]:
    """The runs that others have a frozen model from, such as a teacher or the policy to start from."""
    entries = [value for record in records for value in (record["config"].get("task") or {}).values()]
    single = [entry for value in entries for entry in (value if isinstance(value, list) else [value])]
    return {entry["run"] for entry in single if isinstance(entry, Mapping) and "run" in entry}


def _several(runs: Runs, by: str, keys: Sequence[str]) -> set[tuple[str, str]]:
    """The names whose runs differ in hyper-parameters of their own, each with those."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record, config in zip(runs.records, runs.configs, strict=True):
        for key in keys:
            seen[written(value_of(record, by)), key].add(json.dumps(config.get(key)))
    return {pair for pair, values in seen.items() if len(values) > 1}


def validation_score(own: Sequence[Record], key: str, better_higher: bool) -> float:
    """Mean validation score, larger is better; a setting that diverged anywhere comes last."""
    values = [record["best"].get(key) if record["status"] == "completed" else None for record in own]
    present = [value for value in values if value is not None]
    if len(present) < len(values) or not present:
        return -math.inf
    mean = sum(present) / len(present)
    return mean if better_higher else -mean


def _differences(runs: Runs, keys: Sequence[str]) -> str:
    """'optimizer.lr (0.1, 0.03) and budget.epochs (5, 20)'."""
    said = []
    for key in keys[:3]:
        values = list(dict.fromkeys(written(config.get(key)) for config in runs.configs))
        said.append(f"{key} ({', '.join(values[:4])}{', ...' if len(values) > 4 else ''})")
    return " and ".join(said) + (f" and {len(keys) - 3} more keys" if len(keys) > 3 else "")


def _over_all_datasets(found: list[DatasetComparison], alpha: float) -> list[DatasetComparison]:
    """The same comparisons with Holm's correction over the data sets together, and verdicts that follow from it."""
    tested = [(i, j) for i, c in enumerate(found) for j, row in enumerate(c.rows) if row.verdict != "baseline"]
    p_values = [found[i].rows[j].p for i, j in tested]
    corrected = holm(p_values)
    family = sum(not math.isnan(p) for p in p_values)
    for position, (i, j) in enumerate(tested):
        row = found[i].rows[j]
        p = float(corrected[position])
        best_case = list(p_values)
        best_case[position] = smallest_p(row.n)
        verdict: Verdict
        said = [words for words in row.words.split("; ") if words and words != too_few(alpha, max(1, row.family))]
        if p <= alpha:
            verdict = row.verdict if row.verdict in ("better", "worse") else "no difference shown"
        elif holm(best_case)[position] > alpha:
            verdict = "too few seeds"
            said.insert(0, too_few(alpha, family))
        else:
            verdict = "no difference shown"
        words = "; ".join(said)
        found[i].rows[j] = replace(row, holm_p=p, family=family, verdict=verdict, words=words)
    return found


def comparison_table(found: Sequence[DatasetComparison], metric: str, by: str) -> Table:
    columns = [by, metric, "difference", "95% low", "95% high", "p", "Holm p", "P(better)"]
    columns += ["n", "diverged", "settings", "verdict", "notes"]
    several = len(found) > 1
    rows = []
    for comparison in found:
        for row in comparison.rows:
            numbers = [row.mean, row.difference, row.low, row.high, row.p, row.holm_p, row.probability_of_improvement]
            cells = [row.name, *(None if math.isnan(value) else value for value in numbers)]
            cells += [row.n, row.diverged, comparison.trials[row.name], row.verdict, row.words]
            rows.append([comparison.dataset, *cells] if several else cells)
    return Table(["dataset", *columns] if several else columns, rows)


def over_datasets_table(found: Sequence[DatasetComparison], metric: str, by: str) -> Table | None:
    """Interquartile mean over all runs and data sets with a stratified bootstrap interval, for every method that has a
    score on each of them for the same seeds; None for a single data set."""
    if len(found) < 2:
        return None
    rows: list[list[Any]] = []
    for name in found[0].scores:
        if not all(name in comparison.scores for comparison in found):
            continue
        own = [{s: v for s, v in c.scores[name].items() if math.isfinite(v)} for c in found]
        seeds = sorted(set.intersection(*(set(scores) for scores in own)))
        if not seeds:
            continue
        matrix = np.array([[scores[seed] for scores in own] for seed in seeds])
        estimate = stratified_bootstrap_interval(matrix, interquartile_mean)
        rows.append([name, *estimate, len(found), len(seeds)])
    return Table([by, f"interquartile mean of {metric}", "95% low", "95% high", "data sets", "seeds"], rows)


def explanation(found: Sequence[DatasetComparison], metric: str, direction: str | None) -> list[str]:
    """What the table means, in a few lines."""
    higher = higher_is_better(metric) if direction is None else direction == "higher"
    baseline = found[0].rows[0].name
    family = max((row.family for comparison in found for row in comparison.rows), default=0)
    comparisons = "1 comparison" if family == 1 else f"{family} comparisons"
    lines = [
        f"{metric}, {'higher' if higher else 'lower'} is better; differences to {baseline}, paired by seed; 95 % "
        f"t interval of each difference alone; p: exact sign-flip test, Holm-corrected over {comparisons}"
    ]
    for comparison in found:
        lines += [f"{comparison.dataset}: {note}" for note in comparison.notes]
    return lines
