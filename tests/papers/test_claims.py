"""Claims: from a preset to a verdict. On real tiny runs; what needs odd outcomes, on records that are written here."""

import csv
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy import stats

from lossbench import composing, locations
from lossbench.errors import UsageError
from lossbench.papers import catalogue, claims, command
from lossbench.results import record as records
from lossbench.results.statistics import ClaimVerdict, verdict_of_claim
from lossbench.run import execute
from lossbench.sweep.plan import make_plan

LOADER = command.config_loader()


def preset(folder, slug, paper, **root):
    """A user's preset of two steps of digits; returns the --config-dir."""
    paper = {"claim": "It is better.", "metric": "test/accuracy", "direction": "higher", "seeds": 3, **paper}
    content = {
        "budget": {"epochs": None, "steps": 25},
        "evaluation": {"steps": 25},
        "threads": 1,
        **root,
        "paper": paper,
    }
    path = folder / "configs" / "paper" / f"{slug}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# @package _global_\n" + yaml.safe_dump(content))
    return folder / "configs"


def run(folder, *arguments):
    """The command with the user's configs and outputs of this folder: (exit code, {slug: verdict})."""
    code = command.run([*arguments, "--config-dir", str(folder / "configs"), "--outputs", str(folder / "out")])
    return code, {verdict["paper"]: verdict for verdict in claims.read_all(folder / "out")}


def load(folder, slug, **options):
    own = folder / "configs"
    common = claims.overrides({"outputs": str(folder / "out")})
    return claims.load(slug, command.config_loader(own), common=common, own=own, **options)


def pretend(arm, scores, metric="test/accuracy", **best):
    """Records as the runs of an arm would have left them; a score that is a text is a status."""
    for prepared, score in zip(arm.runs, scores, strict=True):
        completed = not isinstance(score, str)
        error = None if completed else {"type": "Diverged", "message": "at step 3", "traceback": ""}
        prepared.folder.mkdir(parents=True, exist_ok=True)
        record = {
            "schema": 1,
            "run": prepared.run,
            "folder": prepared.name,
            "status": "completed" if completed else score,
            "error": error,
            "choices": prepared.config["choices"],
            "config": prepared.config,
            "seed": prepared.config["seed"],
            "best": {metric: score, **best} if completed else {},
            "final": {},
            "steps": 25,
        }
        records.write(prepared.folder, record)


def verdict_on(folder, method, *baselines, slug="mine", **paper):
    """The judgement on a claim with these scores; the baselines differ in their learning rate."""
    settings = {"baselines": [{"optimizer.lr": 10.0**-i} for i in range(len(baselines))], **paper}
    preset(folder, slug, {"seeds": max(2, len(method)), **settings})
    claim = load(folder, slug, seeds=len(method))
    for arm, scores in zip((claim.method, *claim.baselines), (method, *baselines), strict=True):
        pretend(arm, scores)
    return claims.judge(claim)


# --- real runs -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which three claims on the same six runs were run with one command: trained or untrained."""
    folder = tmp_path_factory.mktemp("claims")
    good, none = {"optimizer.lr": 0.01}, {"optimizer.lr": 0.0}
    preset(folder, "trained", {"method": good, "baselines": [none]})
    preset(folder, "untrained", {"method": none, "baselines": [good]})
    preset(folder, "lower", {"method": none, "baselines": [good], "direction": "lower"})
    code, verdicts = run(folder, "trained", "untrained", "lower")
    assert code == 0
    return folder, verdicts


def test_verdicts_of_real_runs(trained):
    _, verdicts = trained
    assert verdicts["trained"]["verdict"] == "supported"
    assert verdicts["untrained"]["verdict"] == "contradicted"
    assert verdicts["lower"]["verdict"] == "supported"  # "the accuracy without training is lower"


def test_numbers_are_those_of_the_records(trained):
    """Read back from the folders of the runs; the interval is scipy's."""
    folder, verdicts = trained
    found = {}
    for path in (folder / "out" / "runs").rglob("record.json"):
        record = json.loads(path.read_text())
        found[record["config"]["optimizer"]["lr"], record["seed"]] = (record["best"]["test/accuracy"], record["run"])
    assert len(found) == 6  # each run once, whichever claim asked for it
    verdict, entry = verdicts["trained"], verdicts["trained"]["baselines"][0]
    for lr, side in ((0.01, verdict["method"]), (0.0, entry)):
        assert side["scores"] == {str(seed): found[lr, seed][0] for seed in range(3)}
        assert side["runs"] == {str(seed): found[lr, seed][1] for seed in range(3)}
    a, b = ([found[lr, seed][0] for seed in range(3)] for lr in (0.01, 0.0))
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert entry["method_mean"] == verdict["method"]["mean"] == pytest.approx(sum(a) / 3)
    assert entry["mean"] == pytest.approx(sum(b) / 3)
    assert entry["difference"] == pytest.approx(sum(a) / 3 - sum(b) / 3)
    assert (entry["low"], entry["high"]) == pytest.approx(tuple(interval))
    assert entry["differs"] == {"optimizer.lr": [0.01, 0.0]} and entry["n"] == 3
    assert (verdict["method"]["name"], entry["name"]) == ("optimizer.lr=0.01", "optimizer.lr=0.0")


def test_record_of_a_verdict(trained):
    _, verdicts = trained
    verdict = verdicts["trained"]
    assert verdict["claim"] == "It is better." and verdict["seeds"] == [0, 1, 2] and verdict["scale"] == "cpu"
    assert verdict["software"]["torch"] == torch.__version__ and verdict["hardware"]["device"] == "cpu"
    assert verdict["hardware"]["processor"] and verdict["lossbench"]
    assert re.match(r"\d{4}-\d\d-\d\dT", verdict["date"]) and verdict["seconds"] > 0
    assert "hostname" not in json.dumps(verdict)


def test_finished_runs_are_not_run_again(trained, capsys):
    folder, verdicts = trained
    paths = sorted((folder / "out" / "runs").rglob("record.json"))
    before = [path.stat().st_mtime_ns for path in paths]
    code, again = run(folder, "trained")
    assert code == 0 and again["trained"] == verdicts["trained"]
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert "6 finished before, 0 to do" in capsys.readouterr().out


def test_more_seeds_run_only_what_is_new(trained, capsys):
    folder, _ = trained
    command.run(["trained", "--seeds", "4", "--dry-run", "--config-dir", str(folder / "configs"),
                 "--outputs", str(folder / "out")])  # fmt: skip
    assert "8 runs in all, 6 finished before, 2 to do" in capsys.readouterr().out


def test_a_baseline_is_the_run_that_train_makes(tmp_path):
    """The preset is no part of a run's identity: a run of `lossbench train` with the same config is the same run."""
    baseline = claims.load("polyloss", LOADER, seeds=2, common=[f"outputs={tmp_path}"]).baselines[0]
    plain = make_plan(["loss=cross_entropy", "device=cpu", "seed=0,1", f"outputs={tmp_path}"], LOADER)
    assert [p.run for p in baseline.runs] == [p.run for p in plain.runs]


def test_search_gives_equal_trials_and_selects_on_validation(tmp_path):
    """Each side picks lr = 0.01 of (0, 0.01); without a search the claim would compare untrained models."""
    search = {"method": "grid", "trials": 2, "seed": 0, "space": {"optimizer.lr": {"values": [0.0, 0.01]}}}
    paper = {"baselines": [{"model.widths": [4]}], "seeds": 2}
    preset(tmp_path, "tuned", paper, search=search)
    code, verdicts = run(tmp_path, "tuned")
    verdict = verdicts["tuned"]
    assert code == 0 and len(list((tmp_path / "out" / "runs").rglob("record.json"))) == 8
    for side in (verdict["method"], *verdict["baselines"]):
        assert side["trials"] == 2
        chosen = [json.loads(path.read_text()) for path in (tmp_path / "out" / "runs").rglob("record.json")]
        chosen = [record for record in chosen if record["run"] in side["runs"].values()]
        assert [record["config"]["optimizer"]["lr"] for record in chosen] == [0.01, 0.01]
    terms = "not on equal terms, as the claim has it: model.widths [128,128] against [4]"
    assert verdict["baselines"][0]["words"].endswith(terms)


def test_selection_does_not_look_at_the_test_split(tmp_path):
    """Of two settings, the one that is better on validation is judged, although the other is better on test."""
    search = {"method": "grid", "trials": 2, "seed": 0, "space": {"optimizer.lr": {"values": [0.1, 0.01]}}}
    preset(tmp_path, "mine", {"baselines": [{"loss": "focal"}], "seeds": 2}, search=search)
    claim = load(tmp_path, "mine")
    for arm, level in ((claim.method, 0.5), (claim.baselines[0], 0.2)):
        for prepared in arm.runs:
            better = prepared.config["optimizer"]["lr"] == 0.01
            one = claims.Arm((), [prepared])
            pretend(one, [level + (0.0 if better else 0.1)], **{"validation/accuracy": 0.9 if better else 0.8})
    verdict = claims.judge(claim)
    assert (verdict["method"]["mean"], verdict["baselines"][0]["mean"]) == (0.5, 0.2)
    for prepared in claim.method.runs:  # a setting that diverged on a seed comes last, whatever its other seeds say
        if prepared.config["optimizer"]["lr"] == 0.01 and prepared.config["seed"] == 0:
            pretend(claims.Arm((), [prepared]), ["diverged"])
    assert claims.judge(claim)["method"]["mean"] == 0.6


# --- the judgement, on written records -----------------------------------------------------------------------------


def test_inconclusive_says_how_many_seeds_would_decide(tmp_path):
    verdict = verdict_on(tmp_path, [0.90, 0.92, 0.91], [0.90, 0.91, 0.91])
    entry = verdict["baselines"][0]
    assert verdict["verdict"] == entry["verdict"] == "inconclusive"
    # differences 0, 0.01, 0: mean 0.00333, deviation 0.00577, effect 0.577: (t.975 + t.8) <= 0.577 sqrt(n) from n = 26
    assert "about 26 seeds would be needed to decide" in entry["words"]


@pytest.mark.parametrize(("mean", "deviation", "n"), [(1.0, 2.0, 5), (-0.3, 1.0, 10), (0.02, 1.0, 3), (3.0, 4.0, 2)])
def test_seeds_to_decide(mean, deviation, n):
    """The smallest n whose half-width leaves the observed mean with 80 % probability, by scipy's quantiles."""
    half = stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n)
    words = claims.seeds_to_decide(ClaimVerdict("inconclusive", n, mean, mean - half, mean + half, ""))

    m = np.arange(2, 10_000)
    reach = (stats.t.ppf(0.975, m - 1) + stats.t.ppf(0.8, m - 1)) * deviation / np.sqrt(m)
    expected = next(iter(m[reach <= abs(mean)]), None)
    said = int(re.search(r"(\d+) seeds", words)[1])
    assert said == (expected or 10_000) and words.startswith("about" if expected else "more than")


@pytest.mark.parametrize(("mean", "deviation", "n"), [(0.5, 1.0, 10), (0.0, 1.0, 4), (1.3, 1.0, 8), (-0.9, 0.5, 5)])
def test_seeds_to_decide_within_a_margin(mean, deviation, n):
    """By simulation of the t intervals: with the number said, four of five would be decided, and the way it is said."""
    half = stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n)
    words = claims.seeds_to_decide(ClaimVerdict("inconclusive", n, mean, mean - half, mean + half, ""), 1.0)
    m = int(re.search(r"about (\d+) seeds", words)[1])
    drawn = np.random.default_rng(0).normal(mean, deviation, (4000, m))
    half = stats.t.ppf(0.975, m - 1) * drawn.std(1, ddof=1) / math.sqrt(m)
    low, high = drawn.mean(1) - half, drawn.mean(1) + half
    decided = ((low > -1) & (high < 1)) if abs(mean) < 1 else ((low > 1) | (high < -1))
    assert 0.77 < decided.mean() < 0.93  # inside the margin the number is for the worse of the two ends: up to 90 %


def test_seeds_to_decide_has_nothing_to_say():
    assert claims.seeds_to_decide(verdict_of_claim({0: 1.0}, {0: 0.0})) == ""
    assert claims.seeds_to_decide(verdict_of_claim({0: 1.0, 1: 1.0}, {0: 1.0, 1: 1.0})) == ""
    assert "no number of seeds" in claims.seeds_to_decide(verdict_of_claim({0: 1.0, 1: 0.0}, {0: 0.0, 1: 1.0}))


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["supported"], "supported"),
        (["supported", "supported"], "supported"),
        (["supported", "inconclusive"], "inconclusive"),
        (["supported", "contradicted"], "contradicted"),
        (["inconclusive", "contradicted", "supported"], "contradicted"),
        (["inconclusive"], "inconclusive"),
    ],
)
def test_overall(verdicts, expected):
    verdict, words = claims.overall(verdicts)
    assert verdict == expected
    assert (words == "") == (len(verdicts) == 1)


def test_several_baselines(tmp_path, capsys):
    up, even, down = [0.5, 0.51, 0.52], [0.9, 0.92, 0.91], [0.99, 0.98, 0.99]
    verdict = verdict_on(tmp_path, [0.9, 0.91, 0.92], up, even, down)
    assert [entry["verdict"] for entry in verdict["baselines"]] == ["supported", "inconclusive", "contradicted"]
    assert verdict["verdict"] == "contradicted"
    assert verdict["words"].startswith("of 3 baselines: 1 supported, 1 inconclusive, 1 contradicted")
    table = claims.table([verdict])
    assert [row[3] for row in table.rows] == [f"optimizer.lr={lr}" for lr in (1.0, 0.1, 0.01)]
    assert [row[-1] for row in table.rows] == ["contradicted"] * 3
    assert len(claims.explanation(verdict)) >= 4


def test_survivors_do_not_decide(tmp_path):
    """Seeds on which the method diverged cannot be left out in its favour; the same for the baseline."""
    good, bad = [0.9, 0.91, 0.92, "diverged"], [0.5, 0.51, 0.52, 0.5]
    verdict = verdict_on(tmp_path / "a", good, bad)
    entry = verdict["baselines"][0]
    assert entry["low"] > 0 and verdict["verdict"] == "inconclusive" and entry["n"] == 3
    assert "not supported, because more runs of the method" in entry["words"]
    assert "1 of 4 runs of the method diverged" in entry["words"] and verdict["method"]["diverged"] == 1
    assert verdict["method"]["scores"]["3"] is None
    verdict = verdict_on(tmp_path / "b", bad, good)
    assert verdict["verdict"] == "inconclusive"
    assert "not contradicted, because more runs of the baseline" in verdict["baselines"][0]["words"]
    # What speaks against the side that lost runs stands.
    verdict = verdict_on(tmp_path / "c", [0.5, 0.51, 0.52, "failed"], [0.9, 0.91, 0.92, 0.9])
    assert verdict["verdict"] == "contradicted" and verdict["method"]["failed"] == 1


def test_survivors_do_not_decide_what_is_as_good(tmp_path):
    within = {"direction": "within", "margin": 0.05}
    some, better = [0.5, 0.51, 0.52, "diverged"], [0.9, 0.91, 0.92, 0.9]
    for name, sides in {"a": (some, [0.5, 0.51, 0.51, 0.5]), "b": ([0.5, 0.51, 0.51, 0.5], some)}.items():
        verdict = verdict_on(tmp_path / name, *sides, **within)
        assert verdict["verdict"] == "inconclusive" and "not supported, because" in verdict["baselines"][0]["words"]
    assert verdict_on(tmp_path / "c", some, some, **within)["verdict"] == "supported"
    # Far apart: what lost runs was worse even so, or was better only where it survived.
    assert verdict_on(tmp_path / "d", some, better, **within)["verdict"] == "contradicted"
    survived = [*better[:3], "diverged"]
    assert verdict_on(tmp_path / "e", survived, [0.5, 0.51, 0.52, 0.5], **within)["verdict"] == "inconclusive"
    # Of losses the lower one is ahead.
    loss = {**within, "metric": "test/nll"}
    preset(tmp_path / "f", "mine", {"baselines": [{"optimizer.lr": 1.0}], "seeds": 4, **loss})
    claim = load(tmp_path / "f", "mine")
    pretend(claim.method, survived, "test/nll")
    pretend(claim.baselines[0], [0.5, 0.51, 0.52, 0.5], "test/nll")
    assert claims.judge(claim)["verdict"] == "contradicted"


def test_as_good_as(tmp_path, capsys):
    """The claim of equality, from the preset to the words; the tuned setting is the best one by the metric's name."""
    verdict = verdict_on(
        tmp_path, [0.90, 0.91, 0.92], [0.905, 0.91, 0.915], [0.2, 0.21, 0.2], direction="within", margin=0.02
    )
    assert [entry["verdict"] for entry in verdict["baselines"]] == ["supported", "contradicted"]
    assert verdict["verdict"] == "contradicted" and verdict["margin"] == 0.02
    assert "test/accuracy within 0.02 of the baseline's" in claims.explanation(verdict)[-1]
    narrow = verdict_on(tmp_path / "b", [0.90, 0.91, 0.92], [0.905, 0.91, 0.915], direction="within", margin=0.001)
    assert narrow["verdict"] == "inconclusive"
    words = narrow["baselines"][0]["words"]
    assert words.startswith("the interval crosses the margin of 0.001; ") and "seeds would be needed" in words
    assert load(tmp_path, "mine").higher
    preset(tmp_path, "loss", {"baselines": [{}], "direction": "within", "margin": 0.1, "metric": "test/nll",
                              "method": {"loss": "focal"}})  # fmt: skip
    assert not load(tmp_path, "loss").higher
    claims.write(verdict, tmp_path / "out")
    assert command.run(["--table", "--outputs", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "reference" / "verdicts.csv").open(newline="") as file:
        assert {(row["direction"], row["margin"]) for row in csv.DictReader(file)} == {("within", "0.02")}
    assert "It is better. (within 0.02)" in (tmp_path / "out" / "reference" / "verdicts.md").read_text()


def test_all_diverged(tmp_path):
    verdict = verdict_on(tmp_path, ["diverged", "diverged"], [0.5, 0.6])
    entry = verdict["baselines"][0]
    assert verdict["verdict"] == "inconclusive" and entry["n"] == 0
    assert verdict["method"]["mean"] is entry["difference"] is entry["low"] is None
    claims.write(verdict, tmp_path)  # JSON without NaN
    claims.table([verdict])


def test_fewer_seeds_than_the_preset(tmp_path):
    preset(tmp_path, "mine", {"baselines": [{"optimizer.lr": 1.0}], "seeds": 9})
    claim = load(tmp_path, "mine", seeds=1)
    pretend(claim.method, [0.9])
    pretend(claim.baselines[0], [0.8])
    verdict = claims.judge(claim)
    assert verdict["verdict"] == "inconclusive" and "1 seeds, where the preset has 9" in verdict["words"]
    assert "an interval needs 2 seeds" in verdict["baselines"][0]["words"]


def test_unequal_terms_are_said(tmp_path):
    words = verdict_on(tmp_path, [0.9, 0.8], [0.7, 0.9], baselines=[{"budget.steps": 50}])["baselines"][0]["words"]
    assert "not on equal terms, as the claim has it: budget.steps 25 against 50" in words


def test_differences_between_method_and_baseline(tmp_path):
    """Choices by name, with those that only one side has; values that both have; nothing else."""
    baseline = {"regularizer": ["l2_norm"], "loss": "focal", "batch_size": 32}
    preset(tmp_path, "mine", {"baselines": [baseline]})
    claim = load(tmp_path, "mine")
    found = claims._differs(claim.method.runs[0].config, claim.baselines[0].runs[0].config)
    assert found == {"loss": ["cross_entropy", "focal"], "batch_size": [64, 32], "regularizer": [[], ["l2_norm"]]}


def test_metric_that_nobody_reports(tmp_path):
    with pytest.raises(UsageError, match=r"paper.metric=test/acuracy, did you mean 'test/accuracy'"):
        verdict_on(tmp_path, [0.9, 0.8], [0.7, 0.9], metric="test/acuracy")


# --- presets that are wrong, papers that cannot be run -------------------------------------------------------------


def test_a_baseline_that_is_the_method(tmp_path):
    """Equal configs are one run, and its difference to itself says nothing: refused before anything runs."""
    preset(tmp_path, "mine", {"method": {"optimizer.lr": 0.01}, "baselines": [{"optimizer.lr": 0.01}]})
    with pytest.raises(UsageError, match=r"paper=mine: the baseline optimizer.lr=0.01 is the same configuration"):
        run(tmp_path, "mine")
    assert not (tmp_path / "out").exists()


def test_a_list_in_the_body_of_a_preset_chooses_nothing(tmp_path):
    preset(tmp_path, "mine", {"baselines": [{"loss": "focal"}]}, variant=["long_tailed"])
    with pytest.raises(UsageError, match=r"variant=.*stands in the body of a config file.*override /variant"):
        run(tmp_path, "mine")


@pytest.mark.parametrize(
    ("paper", "message"),
    [
        ({"baselines": None}, r"paper.baselines=null is not allowed; it must be a list"),
        ({"baselines": []}, r"paper.baselines=\[\] is not allowed"),
        ({"baselines": ["loss=focal"]}, r"paper.baselines=\['loss=focal'\] is not allowed"),
        ({"direction": "up"}, r"paper.direction=up is not allowed; it must be one of: higher, lower, within"),
        ({"direction": "within"}, r"paper=mine: paper.direction=within needs a margin. .*margin: 0.01"),
        ({"direction": "within", "margin": -0.1}, r"paper.margin=-0.1 is not allowed; it must be a number > 0"),
        ({"direction": "within", "margin": 0.0}, r"paper.margin=0.0 is not allowed"),
        ({"direction": "within", "margin": "0.01"}, r"paper.margin=0.01 is not allowed"),
        ({"margin": 0.1}, r"paper.direction=higher takes no margin"),
        ({"seeds": 1}, r"paper.seeds=1 is not allowed"),
        ({"baseline": {}}, r"paper.baseline: preset has no such hyper-parameter, did you mean 'baselines'"),
        ({"baselines": [{"loss": "focl"}]}, r"paper=mine: .*there is no such loss, did you mean 'focal'"),
        ({"baselines": [{"loss.gama": 1}]}, r"paper=mine: loss.gama: no run of this sweep has such a key"),
        ({"baselines": [{"optimizer.lr": -1.0}]}, r"paper=mine: optimizer.lr=-1.0"),
    ],
)
def test_wrong_presets(tmp_path, paper, message):
    preset(tmp_path, "mine", {"baselines": [{"optimizer.lr": 0.1}], **paper})
    with pytest.raises(UsageError, match=message):
        run(tmp_path, "mine")


def test_missing_key(tmp_path):
    path = preset(tmp_path, "mine", {"baselines": [{"optimizer.lr": 0.1}]}) / "paper" / "mine.yaml"
    content = yaml.safe_load(path.read_text())
    del content["paper"]["metric"]
    path.write_text("# @package _global_\n" + yaml.safe_dump(content))
    with pytest.raises(UsageError, match=r"paper=mine: paper.metric is missing in the preset; it must be a text"):
        run(tmp_path, "mine")


def test_unequal_tuning_is_refused(tmp_path):
    """Neither by keys that the baseline does not have, nor by a baseline that searches less."""
    search = {"method": "random", "trials": 3, "seed": 0, "space": {"optimizer.momentum": {"low": 0.1, "high": 0.9}}}
    preset(tmp_path, "mine", {"method": {"optimizer": "sgd"}, "baselines": [{"optimizer": "adamw"}]}, search=search)
    with pytest.raises(UsageError, match=r"paper=mine: .*the same number of trials"):
        run(tmp_path, "mine")
    search["space"] = {"optimizer.lr": {"low": 0.001, "high": 0.1, "scale": "log"}}
    preset(tmp_path, "mine", {"baselines": [{"loss": "focal", "search.trials": 1}]}, search=search)
    with pytest.raises(UsageError, match=r"gives the method 3 settings and the baseline loss=focal search.trials=1 1"):
        run(tmp_path, "mine")


def test_papers_that_cannot_be_run(tmp_path):
    with pytest.raises(UsageError, match="paper=polylos: no paper has this name, did you mean 'polyloss'"):
        command.run(["polylos"])
    planned = next(paper for paper in catalogue.papers() if paper.status == "planned")
    with pytest.raises(UsageError, match=f"paper={planned.slug} is planned and cannot be run: it has no preset yet"):
        command.run([planned.slug])
    refused = next(paper for paper in catalogue.papers() if paper.status == "not_hosted")
    with pytest.raises(UsageError, match=f"paper={refused.slug} is not hosted.*{re.escape(refused.reason)}"):
        command.run([refused.slug])
    preset(tmp_path, "entirely-mine", {"baselines": [{"optimizer.lr": 0.1}]})
    with pytest.raises(UsageError, match="did you mean 'entirely-mine'"):
        run(tmp_path, "entirely-min")


def test_a_preset_that_names_what_does_not_exist(monkeypatch):
    paper = catalogue.find("polyloss")
    lacking = catalogue.Paper(**{**vars(paper), "status": "planned", "missing": ("loss/nowhere",)})
    monkeypatch.setattr(catalogue, "papers", lambda: [lacking])
    with pytest.raises(UsageError, match="its preset names what does not exist yet: loss/nowhere"):
        command.run(["polyloss"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which paper"),
        (["--all", "polyloss"], "--all runs every hosted paper"),
        (["--family", "classification"], "--family goes with --all"),
        (["--all", "--family", "clasification"], "did you mean 'classification'"),
        (["polyloss", "--seeds", "0"], "--seeds 0"),
        (["polyloss", "--config-dir", "nowhere"], "--config-dir nowhere: there is no such folder"),
        (["sam", "--scale", "gpu"], "paper=sam has no variant for a GPU"),
        (["--table", "polyloss"], "--table makes the table"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(UsageError, match=message):
        command.run(arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_scale_needs_a_gpu():
    with pytest.raises(UsageError, match=r"paper=polyloss: device=cuda was asked for, but torch .* sees none here"):
        command.run(["polyloss", "--scale", "gpu"])


# --- the command ---------------------------------------------------------------------------------------------------


def test_family_and_dry_run(tmp_path, capsys):
    code = command.run(["--all", "--family", "optimization", "--seeds", "2", "--dry-run", "--outputs", str(tmp_path)])
    said = capsys.readouterr().out
    expected = [p.slug for p in catalogue.papers() if p.family == "optimization" and p.status == "hosted"]
    assert code == 0 and len(expected) >= 2
    assert [line.partition(":")[0] for line in said.splitlines()[: len(expected)]] == expected
    assert "sam: method and 2 baselines, 2 seeds: 6 runs, 0 finished before" in said
    assert list(tmp_path.iterdir()) == []


def test_all_leaves_out_what_has_no_gpu_variant(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(claims, "load", lambda slug, *_, **__: (_ for _ in ()).throw(UsageError(f"no {slug}")))
    with pytest.raises(UsageError, match="none of these papers can be run like this"):
        command.run(["--all", "--outputs", str(tmp_path)])
    assert "left out: no polyloss" in capsys.readouterr().out


def test_stopped(tmp_path, monkeypatch, capsys):
    """Without all runs there is no verdict, and nothing is written."""
    preset(tmp_path, "mine", {"baselines": [{"optimizer.lr": 0.1}], "seeds": 2})
    pretend(load(tmp_path, "mine").method, [0.9, 0.8])
    monkeypatch.setattr(command, "_launch", lambda *_: 130)
    code, verdicts = run(tmp_path, "mine")
    assert code == 130 and verdicts == {}
    assert "mine: not decided, 2 of 4 runs have not ended" in capsys.readouterr().out


def test_exit_code_tells_of_divergence(tmp_path, monkeypatch):
    preset(tmp_path, "mine", {"baselines": [{"optimizer.lr": 0.1}], "seeds": 2})
    claim = load(tmp_path, "mine")
    pretend(claim.method, [0.9, "diverged"])
    pretend(claim.baselines[0], [0.5, 0.6])
    monkeypatch.setattr(command, "_launch", lambda *_: 0)
    assert run(tmp_path, "mine")[0] == 1
    pretend(claim.method, [0.9, 0.8])
    assert run(tmp_path, "mine")[0] == 0


def test_formats(trained, capsys):
    folder, _ = trained
    command.run(
        ["trained", "--format", "csv", "--config-dir", str(folder / "configs"), "--outputs", str(folder / "out")]
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if "," in line and "runs" not in line]
    (row,) = csv.DictReader(lines)
    assert row["paper"] == "trained" and row["verdict"] == "supported" and float(row["effect"]) > 0


OVERRIDES = {
    "loss": "focal",
    "loss.gamma": 2.5,
    "optimizer.betas": [0.9, 0.99],
    "clip_norm": None,
    "compile": True,
    "variant": ["long_tailed", "subset"],
    "outputs": "/a folder/with 'quotes', and \\",
    "ema": 1e-05,
    "search": {"space": {"optimizer.lr": {"values": [0.1]}}},
    "selection.metric": "null",
}


@pytest.mark.parametrize("key", OVERRIDES)
def test_overrides_in_hydras_grammar(key):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (written,) = claims.overrides({key: OVERRIDES[key]})
    (parsed,) = OverridesParser.create().parse_overrides([written])
    assert (parsed.key_or_group, parsed.value()) == (key, OVERRIDES[key])


# --- the published table -------------------------------------------------------------------------------------------


def test_table(tmp_path, capsys):
    out, reference = tmp_path / "a" / "out", tmp_path / "reference"
    first = verdict_on(tmp_path / "a", [0.9, 0.91, 0.92], [0.5, 0.51, 0.52], slug="first", claim="It is far better.")
    second = verdict_on(tmp_path / "a", [0.9, 0.91], [0.90, 0.92], [0.5, 0.6], slug="second")
    for verdict in (first, second):
        claims.write(verdict, out)
    assert command.run(["--table", "--outputs", str(out), "--reference", str(reference)]) == 0
    with (reference / "verdicts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["paper"], row["against"]) for row in rows] == [
        ("first", "optimizer.lr=1.0"),
        ("second", "optimizer.lr=1.0"),
        ("second", "optimizer.lr=0.1"),
    ]
    assert float(rows[0]["effect"]) == first["baselines"][0]["difference"] == pytest.approx(0.4)
    assert [row["verdict"] for row in rows] == ["supported", "inconclusive", "inconclusive"]
    page = (reference / "verdicts.md").read_text()
    assert "- supported: 1 of 2: first\n- contradicted: 0 of 2\n- inconclusive: 1 of 2: second\n" in page
    assert "It is far better." in page and "optimizer.lr=0.1" in page and "0.4 " in page
    # A clone has the table and not the runs: what it holds stays, what is run again is replaced.
    again = verdict_on(tmp_path / "b", [0.5, 0.51, 0.52], [0.9, 0.91, 0.92], slug="first")
    claims.write(again, tmp_path / "b" / "out")
    command.run(["--table", "--outputs", str(tmp_path / "b" / "out"), "--reference", str(reference)])
    with (reference / "verdicts.csv").open(newline="") as file:
        replaced = list(csv.DictReader(file))
    assert replaced[0]["verdict"] == "contradicted" and replaced[1:] == rows[1:]
    assert "contradicted: 1 of 2: first" in (reference / "verdicts.md").read_text()
    assert "kept from before, without a verdict here: second" in capsys.readouterr().out


def test_table_of_real_verdicts(trained):
    folder, _ = trained
    command.run(["--table", "--outputs", str(folder / "out")])
    page = (folder / "out" / "reference" / "verdicts.md").read_text()
    assert "- supported: 2 of 3: lower, trained\n- contradicted: 1 of 3: untrained" in page
    assert torch.__version__ in page


def test_table_without_verdicts_and_with_a_damaged_one(tmp_path):
    with pytest.raises(UsageError, match="there are no verdicts in"):
        command.run(["--table", "--outputs", str(tmp_path)])
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "x.json").write_text("{")
    with pytest.raises(UsageError, match=r"x.json is damaged"):
        command.run(["--table", "--outputs", str(tmp_path)])


def test_scales_have_a_file_each(tmp_path):
    verdict = verdict_on(tmp_path, [0.9, 0.91], [0.5, 0.51])
    paths = [claims.write({**verdict, "scale": scale}, tmp_path) for scale in ("cpu", "gpu")]
    assert [path.name for path in paths] == ["mine.json", "mine.gpu.json"]
    assert len(claims.read_all(tmp_path)) == 2


def test_published_table_names_presets_and_no_machine():
    path = Path(locations.PACKAGE).parent / "outputs" / "reference" / "verdicts.csv"
    if not path.exists():
        pytest.skip("lossbench is installed without its repository")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["paper"] for row in rows}) >= 8
    for row in rows:
        assert row["paper"] in locations.config_files("paper")
        assert row["verdict"] in ("supported", "contradicted", "inconclusive")
        assert row["date"] and row["lossbench"] and row["torch"] and (row["processor"] or row["gpu"])


# --- every preset --------------------------------------------------------------------------------------------------


# Their claim is that the first arm does worse.
OF_HARM = {
    "auroc-vs-auprc": "optimising the average precision widens the gap between groups",
    "predictive-multiplicity": "data that are not separable leave more freedom",
    "gradient-entanglement": "what completions share draws the likelihood of the chosen ones down",
    "invisible-leash": "rewards lose solutions that the policy had",
    "simpsons-bias": "a loss averaged over single examples misses the metric of the whole",
}


# Their arms differ in the budget alone: few examples make that short.
BY_BUDGET = {"daa-likelihood-overoptimisation": ("dataset.num_examples=64", "batch_size=64")}
LONGER = {"wsd-s": 215}  # its schedule has budgets within the run, the longest of 210 steps


@pytest.fixture
def prerequisites_are_short(monkeypatch):
    """Models that are trained before get two steps as well."""
    made = composing._prerequisite

    def shorter(entry, *rest):
        train = entry["train"] if isinstance(entry["train"], list) else composing.overrides(entry["train"])
        kept = [override for override in train if not override.startswith(("budget.", "evaluation."))]
        return made({**entry, "train": [*kept, "budget.steps=2", "evaluation.steps=2"]}, *rest)

    monkeypatch.setattr(composing, "_prerequisite", shorter)


@pytest.mark.parametrize("slug", locations.config_files("paper"))
def test_every_preset_runs(slug, tmp_path, prerequisites_are_short):
    """It composes, checks, and trains two steps of the method and of each baseline; its metric is reported by all."""
    steps = LONGER.get(slug, 2)
    short = BY_BUDGET.get(slug, (f"budget.steps={steps}", f"evaluation.steps={steps}"))
    claim = claims.load(slug, LOADER, seeds=1, common=[*short, f"outputs={tmp_path}"])
    for prepared in claim.runs:
        record = execute(prepared)
        assert record["status"] == "completed"
        assert math.isfinite(record["best"][claim.settings["metric"]])
    assert claim.settings["claim"][0].isupper() and claim.settings["claim"].endswith(".")
    assert claim.settings["seeds"] >= 5
    metric = claim.settings["metric"].rsplit("/", 1)[-1]
    from lossbench.results.comparing import higher_is_better

    if claim.settings["margin"] is None:
        assert (claim.higher == higher_is_better(metric)) is (slug not in OF_HARM), "paper.direction"


@pytest.mark.parametrize("slug", locations.config_files("paper"))
def test_variant_for_a_gpu_composes(slug):
    settings = claims.settings(slug, LOADER)
    if settings["gpu"] is None:
        pytest.skip("it has none")
    for own in ({}, *settings["baselines"]):
        merged = {**settings["gpu"], **(settings["method"] or {}), **own, "device": "cpu"}
        assert make_plan([f"paper={slug}", *claims.overrides(merged)], LOADER).runs
