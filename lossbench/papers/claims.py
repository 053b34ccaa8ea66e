"""Claims of papers, run and judged: a method against its baselines, over seeds.

A preset configs/paper/<slug>.yaml realises the paper; under its key ``paper`` stands the claim:

    claim       one sentence, as the paper makes it, at the scale of the preset
    metric      what is measured, such as test/accuracy; read once, where validation was best
    direction   of the method against the baseline that the claim asserts: higher, lower, or within (as good as)
    margin      for within, and needed there: how far apart the two may be, such as 0.01
    baselines   overrides that turn the preset into each baseline: [{loss: cross_entropy}]
    seeds       how many; method and baselines share them, so that the differences are paired
    method      overrides of the method alone, such as {loss.gamma: 5}; may be left out
    gpu         overrides of all of them at --scale gpu; may be left out
    where       where the paper makes the claim; may be left out
    expect      what the paper reports there; may be left out

A hyper-parameter that only the method has (``task.gamma``, of a task that a baseline replaces) stands under ``method``:
at the root of the preset it would be a key that the baseline's choice does not have.

A search space (``search``, at the root of the preset) tunes method and baselines with the same number of trials each;
the setting with the best mean on validation is the one that is judged.

A verdict is that of statistics.verdict_of_claim on the paired differences: supported, contradicted or inconclusive.
A claim of within is supported where the interval of the difference lies inside the margin on both sides of 0,
contradicted where it lies wholly outside; that no difference was shown supports nothing.
Against several baselines a claim is supported where it is against each, contradicted where it is against any.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Len

from lossbench import contract
from lossbench.checkpoint import write_atomically
from lossbench.composing import as_override, overrides
from lossbench.errors import UsageError, nearest
from lossbench.frozen import as_asked
from lossbench.metrics import higher_is_better
from lossbench.papers import catalogue
from lossbench.preparing import NOT_IDENTITY, Prepared, without_seed
from lossbench.results import comparing
from lossbench.results.statistics import ClaimVerdict, t_quantile, verdict_of_claim
from lossbench.results.tables import Cell, Table, render
from lossbench.sweep.plan import Plan, make_plan

SCHEMA = 1
Scale = Literal["cpu", "gpu"]
POWER = 0.8  # of the number of seeds that is suggested
MOST_SEEDS = 10_000  # beyond this, the number is only said to be larger
TERMS = ("dataset", "variant", "data_seed", "model", "budget", "batch_size")  # equal terms are equal in these


def preset(
    *,
    claim: str,
    metric: str,
    direction: Literal["higher", "lower", "within"],
    baselines: Annotated[Sequence[Mapping], Len(1)],
    seeds: Annotated[int, Ge(2)],
    margin: Annotated[float, Gt(0)] | None = None,
    method: Mapping | None = None,
    gpu: Mapping | None = None,
    where: str | None = None,
    expect: str | None = None,
) -> None:
    """The keys of a preset below ``paper``, their types and ranges."""


@dataclass(frozen=True)
class Arm:
    """The method or a baseline: what is to be run for each seed, once for each trial of a search space."""

    overrides: tuple[str, ...]
    runs: list[Prepared]

    def options(self) -> dict[str, list[Prepared]]:
        """The runs by setting: those of one setting differ in the seed alone."""
        found: dict[str, list[Prepared]] = {}
        # A preset may say data_seed: ${seed}: then each repetition draws its data too.
        drawn = all(prepared.config["data_seed"] == prepared.config["seed"] for prepared in self.runs)
        for prepared in self.runs:
            config = {**prepared.config, "data_seed": None} if drawn else prepared.config
            found.setdefault(without_seed(config), []).append(prepared)
        return found


@dataclass(frozen=True)
class Claim:
    slug: str
    paper: catalogue.Paper | None  # None for a user's own preset
    settings: dict[str, Any]
    scale: Scale
    seeds: list[int]
    method: Arm
    baselines: list[Arm]

    @property
    def higher(self) -> bool:
        """Whether higher values are better: as the claim has it; where it only says equal, by the metric's name."""
        direction, metric = self.settings["direction"], self.settings["metric"]
        return higher_is_better(metric) if direction == "within" else direction == "higher"

    @property
    def runs(self) -> list[Prepared]:
        """Every run that the verdict needs, each once."""
        return list({p.run: p for arm in (self.method, *self.baselines) for p in arm.runs}.values())


# --- from a preset to a plan ---------------------------------------------------------------------------------------


def hosted(slug: str, own: Path | None = None) -> catalogue.Paper | None:
    """The paper of this slug, which has a preset; None where only the folder ``own`` has one.

    Raises UsageError with the reason for a paper that cannot be run, and with the nearest for one that is not there.
    """
    own_presets = {path.stem for path in (own / "paper").glob("*.yaml")} if own else set()
    known = {paper.slug: paper for paper in catalogue.papers()}
    if slug in own_presets:
        return known.get(slug)
    if slug not in known:
        near = nearest(slug, {*known, *own_presets}) or "."
        raise UsageError(f"paper={slug}: no paper has this name{near} 'lossbench list papers' has them all.")
    paper = known[slug]
    if paper.status == "not_hosted":
        raise UsageError(f"paper={slug} is not hosted and cannot be run: {paper.reason}")
    if paper.status == "planned":
        lacking = ", ".join(paper.missing)
        why = f"its preset names what does not exist yet: {lacking}" if lacking else "it has no preset yet"
        raise UsageError(
            f"paper={slug} is planned and cannot be run: {why}. 'lossbench list papers --hosted' has those that can."
        )
    return paper


def load(
    slug: str,
    config_loader: Any,
    *,
    seeds: int | None = None,
    scale: Scale = "cpu",
    common: Sequence[str] = (),
    own: Path | None = None,
) -> Claim:
    """The claim of a preset with every run that it needs, checked; nothing is written or run.

    seeds     instead of the preset's number
    common    further overrides of all runs
    own       a folder of the user's configs, which the loader searches too
    Raises UsageError.
    """
    paper = hosted(slug, own)
    found = settings(slug, config_loader)
    if scale == "gpu" and found["gpu"] is None:
        raise UsageError(f"paper={slug} has no variant for a GPU. Leave out --scale gpu.")
    numbers = list(range(found["seeds"] if seeds is None else seeds))
    device = {"device": "cuda" if scale == "gpu" else "cpu"}
    shared = [f"paper={slug}", *overrides({**device, **(found["gpu"] or {} if scale == "gpu" else {})}), *common]

    def arm(own: Mapping[str, Any]) -> Arm:
        chosen = tuple(overrides(own))
        replaced = {override.partition("=")[0] for override in chosen}
        kept = [override for override in shared if override.partition("=")[0] not in replaced]
        try:
            plan = make_plan([*kept, *chosen, f"seed={','.join(map(str, numbers))}"], config_loader)
        except UsageError as error:
            raise UsageError(f"paper={slug}: {error}") from None
        return Arm(chosen, plan.runs)

    claim = Claim(slug, paper, found, scale, numbers, arm(found["method"] or {}), [arm(b) for b in found["baselines"]])
    _check_arms(claim)
    return claim


def settings(slug: str, config_loader: Any) -> dict[str, Any]:
    """What a preset says below ``paper``, checked, with null for what it leaves out. Raises UsageError."""
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    node = config_loader.load_configuration("train", [f"paper={slug}"], run_mode=RunMode.RUN, from_shell=False).paper
    plain = OmegaConf.to_container(node, resolve=True) if node is not None else {}
    assert isinstance(plain, dict)
    found = {str(key): value for key, value in plain.items()}
    contract.check(preset, found, f"paper={slug}: paper")
    known = contract.signature(preset)
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in found:
            needed = contract.describe(parameter.annotation)
            raise UsageError(f"paper={slug}: paper.{name} is missing in the preset; it must be {needed}.")
    if (found["direction"] == "within") != (found.get("margin") is not None):
        wrong = "=within needs a margin" if found["direction"] == "within" else f"={found['direction']} takes no margin"
        raise UsageError(
            f"paper={slug}: paper.direction{wrong}. 'direction: within' with 'margin: 0.01' claims that the two differ "
            "by less than 0.01; higher and lower stand alone."
        )
    return {**{name: p.default for name, p in known.items() if p.default is not p.empty}, **found}


def _check_arms(claim: Claim) -> None:
    """A baseline is another configuration, and is tuned as much as the method."""
    trials = len(claim.method.options())
    own = {prepared.run for prepared in claim.method.runs}
    for arm in claim.baselines:
        name = " ".join(arm.overrides) or "{}"
        if len(arm.options()) != trials:
            raise UsageError(
                f"paper={claim.slug}: the search space gives the method {trials} settings and the baseline {name} "
                f"{len(arm.options())}. Equal tuning needs the same number: use search.method=random with keys that "
                "both have."
            )
        if own == {prepared.run for prepared in arm.runs}:
            raise UsageError(
                f"paper={claim.slug}: the baseline {name} is the same configuration as the method, so that there is "
                "nothing to compare. Give paper.baselines overrides that change something."
            )


def plan_of(claims: Iterable[Claim]) -> Plan:
    """One plan for all: a run that several claims need (a common baseline, say) is in it once."""
    return Plan(runs=list({p.run: p for claim in claims for p in claim.runs}.values()))


def unfinished(claim: Claim) -> int:
    """How many of its runs have not ended, so that there is no verdict yet."""
    return sum(prepared.record is None for prepared in claim.runs)


# --- from records to a verdict -------------------------------------------------------------------------------------


def judge(claim: Claim) -> dict[str, Any]:
    """The verdict on a claim all of whose runs have ended, as outputs/papers/<slug>.json has it."""
    records = {prepared.run: record for prepared in claim.runs if (record := prepared.record) is not None}
    _check_metric(claim, records.values())
    method = _side(claim, claim.method, records)
    against = [_against(claim, method, _side(claim, arm, records)) for arm in claim.baselines]
    verdict, words = overall([entry["verdict"] for entry in against])
    said = [words] if words else []
    if len(claim.seeds) < claim.settings["seeds"]:
        said.append(f"{len(claim.seeds)} seeds, where the preset has {claim.settings['seeds']}")
    paper = claim.paper
    environments = [record["environment"] for record in records.values() if "environment" in record]
    times = [record["time"] for record in records.values() if "time" in record]
    return {
        "schema": SCHEMA,
        "paper": claim.slug,
        "title": paper.title if paper else None,
        "arxiv": paper.arxiv if paper else None,
        "year": paper.year if paper else None,
        "family": paper.family if paper else None,
        **{key: claim.settings[key] for key in ("claim", "metric", "direction", "margin", "where", "expect")},
        "scale": claim.scale,
        "seeds": claim.seeds,
        "verdict": verdict,
        "words": "; ".join(said),
        "method": {key: value for key, value in method.items() if key != "config"},
        "baselines": against,
        "date": max((time["started"] for time in times), default=None),  # of the last run that it rests on
        "seconds": sum(time["wall_seconds"] for time in times),
        "lossbench": _distinct(environments, "lossbench"),
        "commit": _distinct(environments, "commit"),
        "hardware": {
            key: _distinct(environments, key) for key in ("processor", "gpu", "device", "threads", "platform")
        },
        "software": {key: _distinct(environments, key) for key in ("python", "torch", "cuda")},
    }


def overall(verdicts: Sequence[str]) -> tuple[str, str]:
    """(verdict on the claim, words) from the verdicts against each baseline."""
    if len(verdicts) == 1:
        return verdicts[0], ""
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
    if "contradicted" in verdicts:
        return "contradicted", f"of {len(verdicts)} baselines: {counts}; against any of them is enough"
    if all(verdict == "supported" for verdict in verdicts):
        return "supported", f"against each of the {len(verdicts)} baselines"
    return "inconclusive", f"of {len(verdicts)} baselines: {counts}; supported needs each of them"


def _check_metric(claim: Claim, records: Iterable[Mapping[str, Any]]) -> None:
    known = sorted({key for record in records for key in record["best"]})
    metric = claim.settings["metric"]
    if known and metric not in known:
        raise UsageError(
            f"paper={claim.slug}: no run reports paper.metric={metric}{nearest(metric, known) or '.'} "
            f"There are: {', '.join(known)}."
        )


def _side(claim: Claim, arm: Arm, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The arm with its best setting by validation: scores by seed, runs, and what went wrong."""
    metric, options = claim.settings["metric"], list(arm.options().values())
    validation = f"validation/{metric.rsplit('/', 1)[-1]}"
    chosen = options[0]
    if len(options) > 1:
        chosen = max(
            options, key=lambda own: comparing.validation_score([records[p.run] for p in own], validation, claim.higher)
        )
    own = {prepared.config["seed"]: records[prepared.run] for prepared in chosen}
    scores = {seed: _score(record, metric) for seed, record in own.items()}
    finite = [score for score in scores.values() if math.isfinite(score)]
    statuses = [record["status"] for record in own.values()]
    return {
        "name": _name(claim, arm),
        "overrides": list(arm.overrides),
        "trials": len(options),
        "mean": sum(finite) / len(finite) if finite else None,
        "scores": {str(seed): score if math.isfinite(score) else None for seed, score in scores.items()},
        "runs": {str(prepared.config["seed"]): prepared.run for prepared in chosen},
        "diverged": statuses.count("diverged"),
        "failed": len(statuses) - statuses.count("diverged") - statuses.count("completed"),
        "config": chosen[0].config,
    }


def _name(claim: Claim, arm: Arm) -> str:
    """What the arm is, by the overridden keys in which the arms differ; the names of groups first."""
    arms = (claim.method, *claim.baselines)
    keys = dict.fromkeys(override.partition("=")[0] for each in arms for override in each.overrides)

    def value(each: Arm, key: str) -> Any:
        config = each.runs[0].config
        asked = {**config, "task": as_asked(config["task"])}  # without the runs that came before, which differ by seed
        return comparing.value_of({"choices": config["choices"], "config": asked}, key)

    differing = [key for key in keys if len({json.dumps(value(each, key)) for each in arms}) > 1]
    shown = [(key, value(arm, key)) for key in sorted(differing, key=lambda key: "." in key)]
    return ", ".join(f"{key}={as_override(entry)}" for key, entry in shown if entry is not None)


def _score(record: Mapping[str, Any], metric: str) -> float:
    value = record["best"].get(metric) if record["status"] == "completed" else None
    return math.nan if value is None else value


def _against(claim: Claim, method: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict against one baseline with its numbers."""
    a, b = ({int(s): math.nan if v is None else v for s, v in side["scores"].items()} for side in (method, baseline))
    margin = claim.settings["margin"]
    found = verdict_of_claim(a, b, claim.higher, margin=margin)
    pairs = [seed for seed in a if math.isfinite(a[seed]) and math.isfinite(b.get(seed, math.nan))]
    differs = _differs(method["config"], baseline["config"])
    verdict, said = found.verdict, [found.words] if found.words else []
    # Seeds that one side did not survive are left out of the mean: they must not decide in its favour.
    lost_a, lost_b = (sum(not math.isfinite(v) for v in side.values()) for side in (a, b))
    loser = "method" if lost_a > lost_b else "baseline"
    if lost_a != lost_b and loser in _favoured(claim, found):
        said.append(f"not {verdict}, because more runs of the {loser} than of the other side have no score")
        verdict = "inconclusive"
    for name, side in (("method", method), ("baseline", baseline)):
        for what in ("diverged", "failed"):
            if side[what]:
                said.append(f"{side[what]} of {len(claim.seeds)} runs of the {name} {what}")
    if verdict == "inconclusive" and (needed := seeds_to_decide(found, margin)):
        said.append(needed)
    unequal = {key: values for key, values in differs.items() if key.split(".")[0] in TERMS}
    if unequal:
        terms = ", ".join(f"{key} {' against '.join(map(as_override, both))}" for key, both in unequal.items())
        said.append(f"not on equal terms, as the claim has it: {terms}")
    return {
        **{key: value for key, value in baseline.items() if key not in ("mean", "config")},
        "mean": sum(b[seed] for seed in pairs) / len(pairs) if pairs else None,
        "method_mean": sum(a[seed] for seed in pairs) / len(pairs) if pairs else None,
        "difference": _number(found.difference),
        "low": _number(found.low),
        "high": _number(found.high),
        "n": found.n,
        "differs": differs,
        "verdict": verdict,
        "words": "; ".join(said),
    }


def _favoured(claim: Claim, found: ClaimVerdict) -> tuple[str, ...]:
    """The sides in whose favour a verdict is; both, where it says that they are as good as each other."""
    if found.verdict == "inconclusive":
        return ()
    if claim.settings["margin"] is None:
        return ("method",) if found.verdict == "supported" else ("baseline",)
    if found.verdict == "supported":
        return ("method", "baseline")
    return ("method",) if (found.difference > 0) is claim.higher else ("baseline",)


def seeds_to_decide(found: ClaimVerdict, margin: float | None = None) -> str:
    """How many seeds would decide it, in words: enough that an interval of this spread leaves out 0 (with a margin: its
    ends) with a probability of 80 %, were the true difference the one observed. Empty where nothing can be said."""
    if found.n < 2 or not math.isfinite(found.difference) or found.low == found.high:
        return ""
    gap = abs(found.difference) if margin is None else abs(margin - abs(found.difference))
    if gap == 0:
        return f"the mean difference is {'0' if margin is None else 'the margin'}: no number of seeds would decide it"
    spread = (found.high - found.low) / 2 * math.sqrt(found.n) / t_quantile(0.975, found.n - 1)
    effect = gap / spread
    # Inside the margin either end can be missed: with half of the failures at each, both are kept often enough.
    inside = margin is not None and abs(found.difference) < margin
    power = (1 + POWER) / 2 if inside else POWER

    def enough(n: int) -> bool:
        return t_quantile(0.975, n - 1) + t_quantile(power, n - 1) <= effect * math.sqrt(n)

    n = max(2, int(((1.96 + 0.84) / effect) ** 2))  # with the normal's quantiles, which are smaller than Student's
    if n > MOST_SEEDS:
        return f"more than {MOST_SEEDS} seeds would be needed to decide, at this difference and spread"
    while not enough(n):
        n += 1
    return f"about {n} seeds would be needed to decide, at this difference and spread"


def _differs(method: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, list[Any]]:
    """{key: [the method's value, the baseline's]} of what differs, names of choices and values that both have."""

    def values(config: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in config.items() if key not in (*NOT_IDENTITY, "choices", "seed")}
        plain = {k: v for k, v in comparing.flat(kept).items() if not k.rsplit(".", 1)[-1].startswith("_")}
        return {**plain, **{key: value for key, value in config["choices"].items() if key not in NOT_IDENTITY}}

    a, b = values(method), values(baseline)
    names = {**method["choices"], **baseline["choices"]}
    keys = [key for key in a if key in b] + [key for key in names if (key in a) != (key in b)]
    return {key: [a.get(key), b.get(key)] for key in keys if a.get(key) != b.get(key)}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _distinct(entries: Iterable[Mapping[str, Any]], key: str) -> str | None:
    """The value that all have, or all values; None where nobody has one."""
    return ", ".join(sorted({str(entry[key]) for entry in entries if entry.get(key) is not None})) or None


# --- what is kept and shown ----------------------------------------------------------------------------------------


def write(verdict: Mapping[str, Any], outputs: Path) -> Path:
    """papers/<slug>.json in the outputs folder; <slug>.gpu.json at --scale gpu."""
    path = outputs / "papers" / f"{verdict['paper']}{'' if verdict['scale'] == 'cpu' else '.gpu'}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(verdict, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise UsageError(f"cannot write to {path.parent}: {error.strerror}. Choose --outputs.") from None
    return path


def read_all(outputs: Path) -> list[dict[str, Any]]:
    """Every verdict of the outputs folder. Raises UsageError for a damaged one."""
    found = []
    for path in sorted((outputs / "papers").glob("*.json")):
        try:
            verdict = json.loads(path.read_bytes())
        except ValueError as error:
            raise UsageError(f"{path} is damaged: {error}. Remove it and run the paper again.") from None
        if verdict.get("schema") != SCHEMA:
            raise UsageError(f"{path} was written by another version of lossbench. Remove it and run the paper again.")
        found.append(verdict)
    return found


def table(verdicts: Sequence[Mapping[str, Any]]) -> Table:
    """One row for each baseline of each claim."""
    columns = ["paper", "metric", "method", "against", "method mean", "baseline mean", "effect", "95% low", "95% high"]
    rows: list[list[Cell]] = []
    for verdict in verdicts:
        for entry in verdict["baselines"]:
            numbers = [entry[key] for key in ("method_mean", "mean", "difference", "low", "high")]
            own = [verdict["paper"], verdict["metric"], verdict["method"]["name"], entry["name"], *numbers]
            diverged = f"{verdict['method']['diverged']} / {entry['diverged']}"
            rows.append([*own, entry["n"], diverged, entry["verdict"], verdict["verdict"]])
    return Table([*columns, "n", "diverged", "against it", "verdict"], rows)


def explanation(verdict: Mapping[str, Any]) -> list[str]:
    """The verdict and what has to be said beside the numbers."""
    direction, margin = verdict["direction"], verdict.get("margin")
    asserted = f"within {margin:g} of" if direction == "within" else f"{direction} than"
    lines = [f"{verdict['paper']}: {verdict['verdict']}. Claim: {verdict['claim']}"]
    if verdict["expect"]:
        lines.append(f"  the paper reports: {verdict['expect']}")
    for entry in verdict["baselines"]:
        if entry["words"]:
            lines.append(f"  against {entry['name']}: {entry['words']}")
    if verdict["words"]:
        lines.append(f"  {verdict['words']}")
    lines.append(f"  claimed: {verdict['metric']} {asserted} the baseline's; 95 % t interval of the paired differences")
    return lines


# --- the published table -------------------------------------------------------------------------------------------

COLUMNS = ("paper", "scale", "title", "arxiv", "year", "family", "claim", "metric", "direction", "margin", "method",
           "against", "method_mean", "baseline_mean", "effect", "low", "high", "n", "trials", "method_diverged",
           "baseline_diverged", "against_verdict", "words", "verdict", "remarks", "date", "lossbench", "commit",
           "python", "torch", "processor", "gpu", "seconds")  # fmt: skip
NUMBERS = ("method_mean", "baseline_mean", "effect", "low", "high")


def publish(verdicts: Sequence[Mapping[str, Any]], folder: Path) -> tuple[list[Path], list[str]]:
    """verdicts.csv and verdicts.md in the folder; returns their paths, and the papers whose older rows were kept.

    What was published before and has no verdict among these stays, with its own date, version and hardware: a clone of
    the repository has the table, and not the runs.
    """
    rows = [row for verdict in verdicts for row in _rows(verdict)]
    new = {(row["paper"], row["scale"]) for row in rows}
    path = folder / "verdicts.csv"
    kept = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            kept = [row for row in csv.DictReader(file) if (row["paper"], row["scale"]) not in new]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    rows = sorted([*kept, *rows], key=lambda row: (row["paper"], row["scale"]))
    writer.writerows(rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.getvalue().encode())
        write_atomically(folder / "verdicts.md", _page(rows).encode())
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}. Choose --reference.") from None
    return [path, folder / "verdicts.md"], list(dict.fromkeys(row["paper"] for row in kept))


def _rows(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    shared = {key: verdict[key] for key in ("paper", "scale", "title", "arxiv", "year", "family", "claim", "metric",
                                            "direction", "verdict", "lossbench", "commit")}  # fmt: skip
    shared |= {key: verdict["software"][key] for key in ("python", "torch")}
    shared |= {key: verdict["hardware"][key] for key in ("processor", "gpu")}
    shared |= {"remarks": verdict["words"], "margin": verdict.get("margin")}  # verdicts of before have no margin
    shared |= {"date": (verdict["date"] or "")[:10], "seconds": round(verdict["seconds"], 1)}
    shared |= {"method": verdict["method"]["name"], "method_diverged": verdict["method"]["diverged"]}
    return [
        {
            **{key: "" if value is None else value for key, value in shared.items()},
            "against": entry["name"],
            "method_mean": entry["method_mean"],
            "baseline_mean": entry["mean"],
            "effect": entry["difference"],
            "low": entry["low"],
            "high": entry["high"],
            "n": entry["n"],
            "trials": entry["trials"],
            "baseline_diverged": entry["diverged"],
            "against_verdict": entry["verdict"],
            "words": entry["words"],
        }
        for entry in verdict["baselines"]
    ]


def _page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The Markdown page: which hold, the numbers, the claims in words, where they were run."""
    papers = {(row["paper"], row["scale"]): row for row in rows}
    lines = [
        "# Verdicts on the claims of papers",
        "",
        "Written by `lossbench paper --table`; do not edit. Each claim was run by `lossbench paper <slug>` at the "
        "scale of its preset, `configs/paper/<slug>.yaml`, which is far smaller than the paper's: a verdict is about "
        "the claim at this scale, not about the paper. Effect: mean of method minus baseline over the seeds, paired "
        "by seed, with a 95 % t interval. Supported: the interval lies wholly on the claimed side of 0 (against each "
        "baseline); contradicted: wholly on the other side (against any); inconclusive: it holds 0. Where the claim is "
        "that two are as good, within a margin, the interval has to lie inside the margin, or wholly outside. Each "
        "interval stands alone: of twenty claims without any effect, one would be expected to be decided by chance.",
        "",
    ]
    for verdict in ("supported", "contradicted", "inconclusive"):
        named = [f"{slug}{'' if scale == 'cpu' else f' ({scale})'}" for (slug, scale), row in papers.items()
                 if row["verdict"] == verdict]  # fmt: skip
        lines.append(f"- {verdict}: {len(named)} of {len(papers)}{': ' if named else ''}{', '.join(named)}")
    columns = ["paper", "metric", "method", "against", "method mean", "baseline mean", "effect", "95% low", "95% high",
               "n", "diverged", "against it", "verdict", "date"]  # fmt: skip
    cells: list[list[Cell]] = []
    for row in rows:
        numbers = [None if row[key] in ("", None) else float(row[key]) for key in NUMBERS]
        diverged = f"{row['method_diverged']} / {row['baseline_diverged']}"
        cells.append([row["paper"], row["metric"], row["method"], row["against"], *(_shown(v) for v in numbers),
                      str(row["n"]), diverged, row["against_verdict"], row["verdict"], row["date"]])  # fmt: skip
    lines += ["", render(Table(columns, cells), "markdown").rstrip("\n"), "", "## The claims", ""]
    for (slug, scale), row in papers.items():
        source = ", ".join(str(row[key]) for key in ("title", "year") if row[key])
        link = f", [arXiv:{row['arxiv']}](https://arxiv.org/abs/{row['arxiv']})" if row["arxiv"] else ""
        equal = f" (within {float(row['margin']):g})" if row.get("margin") else ""
        lines.append(f"- **{slug}** ({source}{link}). {row['claim']}{equal} `lossbench paper {slug}"
                     f"{'' if scale == 'cpu' else f' --scale {scale}'}`: {row['verdict']}"
                     f"{', ' if row['remarks'] else ''}{row['remarks']}.")  # fmt: skip
        said = [(own["against"], own["words"]) for own in rows if own["paper"] == slug and own["scale"] == scale]
        lines += [f"  - against {against}: {words}." for against, words in said if words]
    lines += ["", "## Where they were run", ""]
    places: dict[tuple, list[str]] = {}
    for (slug, _), row in papers.items():
        place = tuple(str(row[key]) for key in ("lossbench", "commit", "python", "torch", "processor", "gpu"))
        places.setdefault(place, []).append(slug)
    for (version, commit, python, torch, processor, gpu), slugs in places.items():
        short = ", ".join(part[:12] + ("+" if part.endswith("+") else "") for part in commit.split(", ") if part)
        seconds = sum(float(row["seconds"]) for row in papers.values() if row["paper"] in slugs)
        lines.append(f"- lossbench {version} (commit {short or 'unknown'}), Python {python}, torch {torch}, "
                     f"{gpu or processor}; {seconds:.0f} s of runs: {', '.join(slugs)}")  # fmt: skip
    return "\n".join(lines) + "\n"


def _shown(value: float | None) -> Cell:
    """Four significant digits, each for itself: the metrics of a column have different units."""
    return None if value is None else f"{value:.4g}"
