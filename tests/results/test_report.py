"""The report: what it says, that it is one safe and accessible file, and how it behaves in a real browser."""

import base64
import hashlib
import itertools
import json
import math
import re
import shlex
import time
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from lossbench.errors import UsageError
from lossbench.results import comparing, figures, report_command, statistics
from lossbench.results.report import charts, contents, page
from lossbench.results.report.contents import Curve, Interval, IntervalChart, LineChart, Question, gather
from lossbench.results.tables import Table, render
from tests.results import browser

NASTY = "<script>alert(1)</script>"
GROUPS = ("model", "loss", "optimizer", "schedule", "reduction", "precision", "task", "logger")


def write_run(
    outputs: Path,
    *,
    dataset="digits",
    loss="cross_entropy",
    seed=0,
    score=0.9,
    metric="accuracy",
    curve=(0.5, 0.7, 0.8),
    train=(2.0, 1.0, 0.5),
    status="completed",
    error=None,
    lr=0.001,
    epochs=3,
    every=10,
    **loss_keys,
):
    """A run's folder as the trainer leaves it, without training."""
    choices = dict.fromkeys(GROUPS, "plain") | {"dataset": dataset, "loss": loss, "model": "mlp", "optimizer": "adamw"}
    number = sum(1 for _ in outputs.rglob("record.json"))
    folder = f"{re.sub('[^a-z0-9]', '_', dataset)}/mlp/run{number}/seed{seed}-{number:08x}"
    rows = [{"step": every * (i + 1), "epoch": i + 1.0, "train/loss": value, f"validation/{metric}": other}
            for i, (value, other) in enumerate(zip(train, curve, strict=True))]  # fmt: skip
    done = status == "completed"
    final = rows[-1] if rows else {}
    record = {
        "schema": 1, "run": f"{number:016x}", "folder": folder, "status": status, "error": error, "choices": choices,
        "config": {"loss": {"_target_": "x", **loss_keys}, "optimizer": {"lr": lr}, "budget": {"epochs": epochs},
                   "batch_size": 64, "seed": seed, "dataset": {"_target_": "y"}, "outputs": str(outputs)},
        "overrides": [f"dataset={dataset}", f"loss={loss}", "search=learning_rate", f"optimizer.lr={lr}",
                      f"seed={seed}", f"budget.epochs={epochs}"],
        "seed": seed, "best": {**final, f"test/{metric}": score} if done else {}, "final": final if done else {},
        "steps": every * len(rows), "time": {"train_seconds": 1.5, "wall_seconds": 2.0},
        "environment": {"lossbench": "0.1.0", "torch": "2.13", "commit": None, "device": "cpu", "hostname": "a & b"},
        "shared_device": False, "resumed": 0,
    }  # fmt: skip
    path = outputs / "runs" / folder
    path.mkdir(parents=True)
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "record.json").write_text(json.dumps(record))
    return record


def error(message, kind="ValueError"):
    return {"type": kind, "message": message, "traceback": ""}


def usual(outputs: Path) -> Path:
    """Two data sets; a method that helps on one, one that diverged, one that failed; names that no one should use."""
    for dataset, level in (("digits", 0.8), ("wine & <b>bread</b>", 0.6)):
        for seed in range(8):
            noise = 0.01 * math.sin(7 * seed)
            write_run(outputs, dataset=dataset, seed=seed, score=level + noise)
            gain = 0.01 + 0.01 * (seed % 2) if dataset == "digits" else 0.002 * math.cos(5 * seed)
            write_run(
                outputs, dataset=dataset, loss="focal", seed=seed, score=level + noise + gain, curve=(0.6, 0.8, 0.9)
            )
            write_run(outputs, dataset=dataset, loss=NASTY, seed=seed, score=level + noise - 0.02 - 0.001 * seed)
        for seed in range(3):
            diverged = error("the training loss is nan", "Diverged")
            write_run(outputs, dataset=dataset, loss="wild", seed=seed, status="diverged", error=diverged,
                      train=(2.0, 90.0), curve=(0.2, 0.1))  # fmt: skip
    failed = error("no </style> <img src=x>\nsecond line")
    write_run(outputs, loss="focal", seed=99, status="failed", error=failed, curve=(), train=())
    return outputs


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return usual(tmp_path_factory.mktemp("outputs"))


@pytest.fixture(scope="module")
def report(outputs):
    return gather(outputs, Question())


@pytest.fixture(scope="module")
def text(report):
    return page.page(report)


class Page(HTMLParser):
    """The elements in order, and what is wrong with their nesting."""

    VOID = ("meta", "link", "input", "br", "img")

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.words, self.problems = [], [], [], []
        self.feed(text)
        self.close()
        self.problems += [f"{tag} is not closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if len({name for name, _ in attributes}) < len(attributes):
            self.problems.append(f"{tag} has an attribute twice: {attributes}")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes something else")
        if tag not in ("b", "em", "span", "code"):  # these are part of a line
            self.words.append(" ")

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def visible(text):
    return " ".join("".join(Page(text).words).split())


# --- what it says ------------------------------------------------------------------------------------------------


def test_sentence_by_hand(tmp_path):
    for seed in range(8):
        write_run(tmp_path, seed=seed, score=0.8)
        write_run(tmp_path, loss="focal", seed=seed, score=0.81 + 0.01 * (seed % 2))
    # differences 0.01 and 0.02, four of each: mean 0.015, s = 0.005 sqrt(8/7), half = 2.36462 s / sqrt(8) = 0.00447;
    # all signs agree: p = 2 / 2^8 = 0.0078
    words = visible(page.page(gather(tmp_path, Question())))
    numbers = "0.815 against 0.800: +0.01500 (95 % interval +0.01053 to +0.01947), n = 8 seeds, Holm p = 0.0078."
    assert f"focal: better than cross_entropy. {numbers}" in words
    assert "1 comparison: ▲ 1 better" in words


def test_lower_is_better(tmp_path):
    for seed in range(8):
        write_run(tmp_path, seed=seed, score=2.0, metric="nll", curve=(3.0, 2.5, 2.2))
        write_run(tmp_path, loss="focal", seed=seed, score=1.5 + 0.01 * seed, metric="nll", curve=(3.0, 2.0, 1.5))
    found = gather(tmp_path, Question())
    (section,) = found.sections
    assert section.metric == "test/nll" and not section.higher
    assert section.sentences[0].words == "better than cross_entropy"
    assert section.differences[0].better == "left"
    # The baseline ends at 2.2, its third evaluation; focal is below that at its second.
    assert section.times.rows == [["cross_entropy", 8, 8, 30.0, 1.0], ["focal", 8, 8, 20.0, 20 / 30]]


def test_numbers_are_those_of_compare(report, outputs):
    (section,) = report.sections
    records = comparing.where(contents.collect.records(outputs), [])
    found = comparing.compare_runs(records, by="loss", metric="test/accuracy")
    assert render(section.table, "json") == render(comparing.comparison_table(found, "test/accuracy", "loss"), "json")
    drawn = {row.name: row for row in section.differences[0].rows}
    for row in found[0].rows[1:]:
        assert drawn[row.name].verdict == row.verdict
        np.testing.assert_equal(drawn[row.name].low, row.low)
    assert [row.name for row in section.differences[0].rows] == ["focal", NASTY, "wild"]  # best first, no score last


def test_first_screen(text):
    words = visible(text)
    before = words[: words.index("Comparison Over the data sets")]  # the contents follow the answer
    assert "Does changing the loss help?" in before
    assert "55 runs · 48 completed · 6 diverged · 1 failed" in before
    assert "6 comparisons: ▲ 1 better, ▼ 2 worse, ≈ 1 no difference shown, ? 2 too few seeds" in before
    assert before.index("focal: better") < before.index(f"{NASTY}: worse") < before.index("wild: too few seeds")
    assert "3 of 3 runs diverged" in before


def test_sentences_by_verdict_then_by_gain():
    verdicts = {"a": ("too few seeds", 0.9), "b": ("worse", -0.2), "c": ("worse", -0.1), "d": ("better", 0.1),
                "e": ("no difference shown", math.nan), "f": ("no difference shown", 0.3)}  # fmt: skip
    sentences = [
        contents.Sentence("x", name, verdict, "w", "n", "", gain) for name, (verdict, gain) in verdicts.items()
    ]
    text = page._dataset_answer("x", sentences, [], 4, "m")
    assert re.findall("<b>(.)</b>", text) == ["d", "c", "b", "f", "e", "a"]
    assert re.findall("<b>(.)</b>", text.split("<details>")[1]) == ["e", "a"]


def test_runs_that_did_not_complete_are_listed_first(report):
    columns = list(report.runs.columns)
    statuses = [row[columns.index("status")] for row in report.runs.rows]
    assert statuses == ["diverged"] * 6 + ["failed"] + ["completed"] * 48
    failed = report.runs.rows[6]
    assert failed[columns.index("error")] == "ValueError: no </style> <img src=x>"  # its first line
    assert failed[columns.index("test/accuracy")] is None


def test_commands(tmp_path):
    runs = [write_run(tmp_path, loss="a b", seed=seed) for seed in (2, 0, 1)] + [
        write_run(tmp_path, loss="a b", lr=0.1)
    ]
    one, other = contents.commands(runs)
    # Split by a shell it is what Hydra was given; the search is left out, for -m would try all of it again.
    expected = ["lossbench", "train", "-m", "dataset=digits", "loss=a b", "optimizer.lr=0.001", "budget.epochs=3"]
    assert shlex.split(one) == [*expected, "seed=0,1,2"]
    assert shlex.split(other)[:2] == ["lossbench", "train"] and "-m" not in other and other.endswith("seed=0")


def test_a_command_of_the_report_repeats_the_run(tmp_path, capsys, monkeypatch):
    from lossbench.cli import main

    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    for loss in ("cross_entropy", "focal"):
        for seed in (0, 1):
            with pytest.raises(SystemExit, match="0"):
                main(["train", f"loss={loss}", f"seed={seed}", "budget.epochs=2", "model.widths=[8,4]"])
    assert report_command.run(["--outputs", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "digits: focal: too few seeds to tell it from cross_entropy." in out and "n = 2 seeds" in out
    report = gather(tmp_path, Question())
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("record.json"))
    for row in report.runs.rows:
        with pytest.raises(SystemExit, match="0"):
            main(shlex.split(row[-1])[1:])
        assert f"{row[0]}\nalready completed, nothing to do" in capsys.readouterr().out
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("record.json")) == before
    words = visible((tmp_path / "report.html").read_text())
    assert "lossbench train -m loss=focal budget.epochs=2 'model.widths=[8,4]' seed=0,1" in words
    _, curves = report.sections[0].curves[0]
    assert [chart.y_label for chart in curves] == ["train/loss", "validation/accuracy"]
    assert all(len(curve.x) == 2 for chart in curves for curve in chart.curves)  # two epochs, two evaluations


# --- odd cases ---------------------------------------------------------------------------------------------------


def test_nothing_there(tmp_path):
    with pytest.raises(UsageError, match="there are no finished runs"):
        gather(tmp_path, Question())


def test_single_method(tmp_path):
    for seed in range(3):
        write_run(tmp_path, seed=seed)
    words = visible(page.page(gather(tmp_path, Question())))
    assert "Only one value of loss: nothing to compare it with" in words
    assert "Learning curves" in words


def test_one_seed(tmp_path):
    for loss in ("cross_entropy", "focal"):
        write_run(tmp_path, loss=loss, score=0.9 if loss == "focal" else 0.8)
    found = gather(tmp_path, Question())
    text = page.page(found)
    words = visible(text)
    assert "0.9 against 0.8: +0.1, no interval from n = 1 seed." in words
    assert "too few seeds to tell it from cross_entropy" in words
    assert 'class="band' not in text and 'class="interval"' not in text and "hollow" in text
    assert not any(len(curve.low) for chart in found.sections[0].curves[0][1] for curve in chart.curves)


def test_everything_failed(tmp_path):
    for seed in range(2):
        write_run(tmp_path, seed=seed, status="failed", error=error("no such file"), curve=(), train=())
    words = visible(page.page(gather(tmp_path, Question())))
    assert "digits is not compared: none of its 2 runs completed" in words
    assert "ValueError: no such file" in words


def test_every_run_of_a_method_diverged(report, text):
    charts_of_digits = report.sections[0].curves[0][1]
    wild = next(curve for curve in charts_of_digits[0].curves if curve.name == "wild")
    assert wild.diverged and wild.y == [2.0, 90.0]
    assert text.count('class="ended"') == 4  # two charts on two data sets
    assert "✕ ends a curve whose runs all diverged" in visible(text)


def test_some_runs_of_a_method_diverged(tmp_path):
    for seed in range(4):
        write_run(tmp_path, seed=seed)
        bad = {"status": "diverged", "error": error("nan"), "curve": (0.1,), "train": (1e6,)} if seed == 3 else {}
        write_run(tmp_path, loss="focal", seed=seed, **bad)
    found = gather(tmp_path, Question())
    curve = found.sections[0].curves[0][1][0].curves[1]
    assert curve.name == "focal" and not curve.diverged
    assert curve.y == [2.0, 1.0, 0.5]  # of the three that completed: not pulled by the last
    assert "1 of 4 runs diverged: not in the mean" in visible(page.page(found))
    assert found.sections[0].times.rows[1][1:3] == [4, 3]  # the one that diverged did not get there


def test_metric_of_each_data_set(tmp_path):
    for loss in ("cross_entropy", "focal"):
        for seed in range(3):
            write_run(tmp_path, loss=loss, seed=seed, score=0.8 + 0.01 * seed)
            write_run(tmp_path, dataset="diabetes", loss=loss, seed=seed, metric="rmse", score=50.0, curve=(3, 2, 1))
    found = gather(tmp_path, Question())
    assert [(s.metric, s.higher) for s in found.sections] == [("test/rmse", False), ("test/accuracy", True)]
    Page(page.page(found))
    one = gather(tmp_path, Question(metric="test/rmse"))
    assert [s.metric for s in one.sections] == ["test/rmse"]
    assert one.refused == [("digits", "no run reports test/rmse")]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question(metric="test/acuracy"), "did you mean 'test/accuracy'"),
        (Question(baseline="focall"), "did you mean 'focal'"),
        (Question(where=["dataset=nowhere"]), "no run has dataset=nowhere"),
        (Question(where=["datset=digits"]), "did you mean 'dataset'"),
    ],
)
def test_options_that_name_nothing(outputs, question, message):
    with pytest.raises(UsageError, match=message):
        gather(outputs, question)


def test_what_must_not_be_mixed(tmp_path):
    for epochs in (3, 30):
        for loss in ("cross_entropy", "focal"):
            write_run(tmp_path, loss=loss, epochs=epochs)
    with pytest.raises(UsageError, match=r"budget.epochs \(3, 30\)"):
        gather(tmp_path, Question())
    for loss in ("cross_entropy", "focal"):
        write_run(tmp_path, dataset="wine", loss=loss)
    found = gather(tmp_path, Question())  # wine may be compared: digits is left out, in words
    assert [c.dataset for c in found.sections[0].found] == ["wine"]
    assert "digits is not compared: runs on digits differ in budget.epochs" in visible(page.page(found))
    assert len(found.runs.rows) == 6
    only = gather(tmp_path, Question(where=["budget.epochs=3"]))
    assert not only.refused and only.hidden == 2
    assert "only budget.epochs=3 (2 others left out)" in visible(page.page(only))


def test_begun_and_not_ended(tmp_path):
    write_run(tmp_path)
    folder = tmp_path / "runs" / "digits" / "mlp" / "killed" / "seed0-12345678"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("a: 1\n")
    words = visible(page.page(gather(tmp_path, Question())))
    assert "1 begun and not ended" in words and "digits/mlp/killed/seed0-12345678" in words


# --- curves, targets, tuning -------------------------------------------------------------------------------------


def test_mean_curve_against_scipy():
    generator = np.random.default_rng(0)
    steps = np.arange(1.0, 6.0)
    values = generator.normal(size=(4, 5))
    curve = contents.mean_curve("a", [(steps, row) for row in values])
    low, high = scipy.stats.t.interval(0.95, 3, loc=values.mean(0), scale=scipy.stats.sem(values, axis=0))
    np.testing.assert_allclose(curve.y, values.mean(0))
    np.testing.assert_allclose(curve.low, low)
    np.testing.assert_allclose(curve.high, high)


def test_mean_curve_of_runs_evaluated_at_other_steps():
    # 5, 15, 25 against 0, 10, 20: the steps of the run that ends first; the other is a line of slope 2.
    longer, shorter = (np.array([5.0, 15, 25]), np.array([10.0, 30, 50])), (np.array([0.0, 10, 20]), np.zeros(3))
    for series in ([longer, shorter], [shorter, longer]):
        curve = contents.mean_curve("a", series)
        assert curve.x == [10.0, 20.0] and curve.y == [10.0, 20.0]


def test_mean_curve_is_thin_and_keeps_its_ends():
    steps = np.arange(1.0, 1001.0)
    curve = contents.mean_curve("a", [(steps, steps)], points=20)
    assert len(curve.x) == 20 and curve.x[0] == 1 and curve.x[-1] == 1000 and curve.y == curve.x


def test_missing_values_are_no_points(tmp_path):
    write_run(tmp_path, train=(2.0, None, 0.5))
    curve = gather(tmp_path, Question()).sections[0].curves[0][1][0].curves[0]
    assert curve.x == [10.0, 30.0] and curve.y == [2.0, 0.5]


def test_time_to_target_by_hand(tmp_path):
    for seed, last in enumerate((0.8, 0.9, 0.7)):
        write_run(tmp_path, seed=seed, curve=(0.1, 0.2, last))
    for seed, curve in enumerate([(0.8, 0.8, 0.8), (0.1, 0.9, 0.9), (0.1, 0.1, 0.1)]):
        write_run(tmp_path, loss="focal", seed=seed, curve=curve)
    times = gather(tmp_path, Question()).sections[0].times
    # focal: at step 10, at step 20, never: the median is 20, against the baseline's 30
    assert times.rows == [["cross_entropy", 3, 3, 30.0, 1.0], ["focal", 3, 2, 20.0, 20 / 30]]


def test_tuning(tmp_path):
    scores = {0.1: 0.5, 0.01: 0.9, 0.001: 0.7}
    for loss in ("cross_entropy", "focal"):
        for lr, level in scores.items():
            for seed in range(2):
                diverged = loss == "focal" and lr == 0.1 and seed == 1
                extra = {"status": "diverged", "error": error("nan")} if diverged else {}
                write_run(
                    tmp_path, loss=loss, lr=lr, seed=seed, score=level, curve=(0.1, 0.2, level + 0.02 * seed), **extra
                )
    with pytest.raises(UsageError, match="--tuned"):
        gather(tmp_path, Question())
    (chart,) = gather(tmp_path, Question(tuned=True)).sections[0].tuning
    by_name = {curve.name: curve for curve in chart.curves}
    # Validation means 0.51, 0.71, 0.91. Best of 1: their mean; of 2: 0.91 in two pairs of three, else 0.71; of 3: 0.91.
    np.testing.assert_allclose(by_name["cross_entropy"].y, [0.71, (0.91 * 2 + 0.71) / 3, 0.91])
    # The setting that diverged once counts as the worst seen, which is 0.51 of the other loss.
    np.testing.assert_allclose(by_name["focal"].y, [0.71, (0.91 * 2 + 0.71) / 3, 0.91])
    commands = [row[-1] for row in gather(tmp_path, Question(tuned=True)).sections[0].commands.rows]
    assert all("optimizer.lr=0.01 " in command and "search" not in command for command in commands)


def test_profile_is_the_statistics_own(report):
    (section,) = report.sections
    profile = section.overall_charts[1]
    focal = next(curve for curve in profile.curves if curve.name == "focal")
    scores = np.array([[c.scores["focal"][seed] for c in section.found] for seed in range(8)])
    expected = statistics.performance_profile(scores, focal.x)
    np.testing.assert_allclose(focal.y, expected.value)
    np.testing.assert_allclose(focal.low, expected.low)
    assert focal.y[0] == 1.0 and focal.y[-1] == 0.0
    assert section.overall_notes == ["not here, because there is no seed with a score on every data set: wild"]


def test_profile_of_scores_with_scales_of_their_own(tmp_path):
    for dataset, unit in (("a", 1.0), ("b", 100.0)):
        for seed in range(3):
            write_run(tmp_path, dataset=dataset, seed=seed, metric="rmse", score=2 * unit)
            write_run(tmp_path, dataset=dataset, loss="focal", seed=seed, metric="rmse", score=1 * unit)
    (section,) = gather(tmp_path, Question()).sections
    means, profile = section.overall_charts
    assert means.better == "left"
    curves = {curve.name: curve for curve in profile.curves}
    assert profile.x_label == "test/rmse / the baseline's mean"
    at = {name: dict(zip(curve.x, curve.y, strict=True)) for name, curve in curves.items()}
    # focal is at half of the baseline on both: all of it lies below 1, none of the baseline does
    assert at["focal"][1.0] == 1.0 and at["cross_entropy"][1.0] == 0.0


# --- policies ----------------------------------------------------------------------------------------------------


def policies(outputs: Path) -> Path:
    """DPO at two settings of seeds against a baseline; seeds have references of their own; one run without a KL."""
    for seed in range(3):
        for loss, kl, reward, gap in (("dpo", 0.5, 1.0, 0.2), ("sft", (0.25, 0.375, 0.75)[seed], 0.5, 0.4)):
            known = {"test/kl": kl, "test/reward": reward + seed, "test/frontier_gap": gap}
            if seed == 0:
                known |= {"test/frontier_0.1": 0.5, "test/frontier_1": 1.5, "test/frontier_8": 9.0}
            add(write_run(outputs, loss=loss, seed=seed), outputs, known | {"test/reward_gain": reward})
        add(write_run(outputs, loss=NASTY, seed=seed), outputs, {"test/kl": 1.0, "test/reward": 2.0 + seed})
    write_run(outputs, loss="dpo", seed=9)  # a run without a KL is no point
    diverged = error("the training loss is nan", "Diverged")
    write_run(outputs, loss="dpo", seed=10, status="diverged", error=diverged)
    return outputs


def add(record, outputs, metrics):
    record["best"].update(metrics)
    (outputs / "runs" / record["folder"] / "record.json").write_text(json.dumps(record))


def test_reward_against_kl(tmp_path):
    report = gather(policies(tmp_path), Question(baseline="dpo"))
    (section,) = report.sections
    (chart,) = section.policies
    points = {group.name: (group.x, group.y) for group in chart.groups}
    assert points["dpo"] == ([0.5] * 3, [1.0, 2.0, 3.0]) and points["sft"] == ([0.25, 0.375, 0.75], [0.5, 1.5, 2.5])
    assert points[NASTY] == ([1.0] * 3, [2.0, 3.0, 4.0])
    # The reference of seed 0 has reward 1.0 - 1.0 = 0. At KL 1/2 the most is 1.2, at 1/4 it is 0.5 + 0.4; the runs
    # record three more points, of which one is beyond all runs.
    assert [curve.name for curve in chart.limits] == [f"the most with seed {seed}" for seed in range(3)]
    assert chart.limits[0].x == [0.0, 0.1, 0.25, 0.5, 1.0] and chart.limits[0].y == [0.0, 0.5, 0.9, 1.2, 1.5]
    assert chart.limits[2].x == [0.0, 0.5, 0.75] and chart.limits[2].y == pytest.approx([2.0, 3.2, 2.9])
    rows = {row[0]: row[1:] for row in section.policy_table.rows}
    assert rows["dpo"] == [3, 0.5, 2.0, pytest.approx(0.2)] and rows["sft"] == [
        3,
        pytest.approx(1.375 / 3),
        1.5,
        pytest.approx(0.4),
    ]
    assert rows[NASTY] == [3, 1.0, 3.0, None]
    text = page.page(report)
    found = Page(text)
    assert found.problems == [] and {"reward-and-kl"} <= {a.get("id") for _, a in found.elements}
    words = visible(text)
    assert "digits: test/reward against KL" in words and "Reward and KL" in words
    assert "sft, seed 2: 0.75 2.5" in words  # under the pointer
    assert "Mean test/kl and mean test/reward: dpo 0.500 and 2.0; " in words and "; sft 0.458 and 1.5" in words
    assert "Grey lines: the most that any policy can have." in words
    svg = next(svg for svg in re.findall(r'<svg class="chart".*?</svg>', text) if "against KL" in svg)
    assert svg.count('class="mark"') == 9 and svg.count('class="faded"') == 3


def test_reward_against_kl_to_scale(tmp_path):
    """Markers stand where the numbers are, between the numbers of the axes."""
    (section,) = gather(policies(tmp_path), Question(baseline="dpo")).sections
    drawn = ElementTree.fromstring(charts.scatter_chart(section.policies[0], {"dpo": 0, "sft": 1, NASTY: -1}, "i"))
    marks = [element.get("transform") for element in drawn.iter("path") if element.get("class") == "mark"]
    places = [tuple(map(float, re.findall(r"[\d.]+", mark))) for mark in marks]
    marked = {e.text: e for e in drawn.iter("text") if e.get("class") in ("middle", "end")}
    x = {float(t): float(e.get("x")) for t, e in marked.items() if e.get("class") == "middle"}
    y = {float(t): float(e.get("y")) for t, e in marked.items() if e.get("class") == "end"}
    order = [(1.0, 2.0 + seed) for seed in range(3)]  # the faded ones first, the baseline last
    order += [(0.25, 0.5), (0.375, 1.5), (0.75, 2.5), *[(0.5, 1.0 + seed) for seed in range(3)]]
    (x0, x1), (y0, y1) = sorted(x)[:2], sorted(y)[:2]
    for (kl, reward), (across, down) in zip(order, places, strict=True):
        assert across == pytest.approx(x[x0] + (kl - x0) / (x1 - x0) * (x[x1] - x[x0]), abs=0.3)
        assert down == pytest.approx(y[y0] + (reward - y0) / (y1 - y0) * (y[y1] - y[y0]), abs=0.3)


def test_win_rate_in_the_place_of_reward(tmp_path):
    for seed in range(2):
        add(write_run(tmp_path, seed=seed), tmp_path, {"test/kl": 0.1 * seed, "test/win_rate": 0.6})
    (section,) = gather(tmp_path, Question()).sections
    assert section.policies[0].y_label == "test/win_rate" and section.policies[0].limits == []
    assert "Grey:" not in visible(page.page(gather(tmp_path, Question())))


def test_no_policies(report, text):
    assert report.sections[0].policies == [] and "Reward and KL" not in visible(text)


# --- charts ------------------------------------------------------------------------------------------------------


def test_ticks():
    assert charts.ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert charts.ticks(-0.013, 0.021) == pytest.approx([-0.01, 0, 0.01, 0.02])
    assert charts.Scale(0.03, 2000, 0, 1, logarithmic=True).ticks() == pytest.approx([0.1, 1, 10, 100, 1000])
    values = {0.25: "0.25", -2.0: "−2", 1200.0: "1200", 3e5: "3e5", 1e-5: "1e−5", 0.0: "0"}
    assert [charts.tick_text(value) for value in values] == list(values.values())


def test_scale_and_range():
    up = charts.Scale(0, 10, 200, 0)
    assert (up(0), up(5), up(10)) == (200, 100, 0)
    assert abs(up(1e300)) < 1e5  # cut off by the frame, not 300 characters long
    curve = Curve("a", [1, 2], [1.0, 2.0], [-50.0, 1.9], [60.0, 2.1])  # the interval of two seeds
    low, high = charts.value_range([curve], logarithmic=False)
    assert 0 < 1 - low < 1 and 0 < high - 2 < 1
    rows = [Interval("a", 1, 0.5, 1.5), Interval("b", 1, 0.8, 1.2), Interval("c", 1, -99, 101)]
    wide = IntervalChart("k", "t", "x", rows, "right", True)
    low, high = charts.interval_range(wide)
    assert -3 < low < 0 and 1.5 < high < 4
    assert charts.interval_chart(wide, "i").count('class="arrow"') == 2


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-12, 1e30])
def test_flat_curves_and_single_points(value):
    for x in ([1.0], [1.0, 2.0]):
        chart = LineChart("k", "t", "step", "y", [Curve("a", x, [value] * len(x), [value] * len(x), [value] * len(x))])
        drawn = charts.line_chart(chart, {"a": 0}, "i")
        assert "nan" not in drawn and "inf" not in drawn
        ElementTree.fromstring(drawn)


def test_many_methods_stay_apart(tmp_path):
    for number in range(20):
        for seed in range(2):
            write_run(tmp_path, loss=f"loss{number:02}", seed=seed, score=0.5 + 0.02 * number)
    found = gather(tmp_path, Question(baseline="loss03"))
    coloured = [name for name, style in found.styles.items() if style != contents.FADED]
    assert found.styles["loss03"] == 0
    assert sorted(coloured) == ["loss03", *(f"loss{n}" for n in range(13, 20))]  # the best seven beside the baseline
    assert len({found.styles[name] for name in coloured}) == len(coloured) == len(charts.STYLES)
    text = page.page(found)
    assert "12 others, without band" in visible(text)
    assert "14 more" in visible(text) or "1 more" in visible(text)  # sentences beyond the first screen are folded


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    light, dark = sorted([luminance(a), luminance(b)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast():  # WCAG 2.2: 4.5 for text (1.4.3), 3 for parts of charts (1.4.11)
    css = page._style()
    schemes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)]
    assert len(schemes) == 2
    for scheme, which in zip(schemes, ("light", "dark"), strict=True):
        for name in ("text", "quiet", "link", "better", "worse", "neutral", "failed"):
            assert contrast(scheme[name], scheme["page"]) >= 4.5, (which, name)
            assert contrast(scheme[name], scheme["raised"]) >= 4.5, (which, name)  # the row under the pointer
        for style in charts.STYLES:
            assert contrast(getattr(style, which), scheme["page"]) >= 3, (which, style)
    for parts in ({style.dash for style in charts.STYLES}, {style.marker for style in charts.STYLES}):
        assert len(parts) == len(charts.STYLES)  # each line can be told without its colour


# --- one safe, accessible file -----------------------------------------------------------------------------------


def test_nothing_is_fetched(text):
    found = Page(text)
    for tag, attributes in found.elements:
        for name, value in attributes.items():
            if name in ("href", "src", "srcset", "action", "poster", "data", "xlink:href", "background"):
                assert value.startswith("#") or value == "data:,", (tag, name, value)
    assert re.findall(r"url\((?!#)", text) == [] and "@import" not in text and "//" not in re.sub(r"// .*", "", text)
    style, script = (re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)[1] for tag in ("style", "script"))
    policy = next(a["content"] for a in found.named("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    for kind, content in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert not any(
        "style" in attributes or any(name.startswith("on") for name in attributes) for _, attributes in found.elements
    )


def test_names_are_never_markup(text):
    found = Page(text)
    assert found.problems == []
    assert len(found.named("script")) == len(found.named("style")) == 1
    assert found.named("img") == [] and found.named("b") != [] and text.count("<script>") == 1
    words = visible(text)
    assert NASTY in words and "wine & <b>bread</b>" in words and "no </style> <img src=x>" in words and "a & b" in words
    assert "second line" not in words


def test_sorting_takes_the_number_itself():
    text = page.table(Table(["a", "b"], [["x", 0.12345678], ["y", 0.5], ["z", None]]), "c", header=0)
    assert '<td class=number data-value="0.12345678">0.1235</td>' in text
    assert "<td class=number></td>" in text and text.count("data-value") == 2  # 0.5000 is shown for 0.5


def test_characters_that_a_page_cannot_hold(tmp_path):
    write_run(tmp_path, loss="a\x00\x1b[31m\udcffb", error=None)
    text = page.page(gather(tmp_path, Question()))
    assert text.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_accessible(text):
    found = Page(text)
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    identities = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    for _, attributes in found.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attributes.get(name, "").split()) <= set(identities)
        assert attributes.get("href", "#")[1:] in ("", *identities, "ata:,")
    assert {attributes["scope"] for attributes in found.named("th")} == {"col", "row"}
    assert len(found.named("caption")) == len(found.named("table"))
    drawn = [attributes for attributes in found.named("svg") if attributes["class"] == "chart"]
    assert drawn and all(attributes["role"] == "img" for attributes in drawn)
    assert all(attributes.get("aria-hidden") for attributes in found.named("svg") if attributes not in drawn)
    for svg in re.findall(r'<svg class="chart".*?</svg>', text):
        tree = ElementTree.fromstring(svg.replace("\u00a0", " "))
        assert tree[0].tag == "title" and tree[0].text and tree[1].tag == "desc" and tree[1].text
    assert found.elements[0] == ("html", {"lang": "en"})


def test_a_thousand_runs(tmp_path):
    generator = np.random.default_rng(0)
    rows = 20
    for dataset in "abcde":
        for number in range(20):
            for seed in range(10):
                curve = np.sort(generator.random(rows))
                write_many(tmp_path, dataset, f"loss_number_{number}", seed, curve)
    start, processor = time.perf_counter(), time.process_time()
    text = page.page(gather(tmp_path, Question()))
    seconds = time.process_time() - processor
    print(f"{len(text.encode()) / 1e6:.2f} MB, {seconds:.1f} s, {time.perf_counter() - start:.1f} s of wall time")
    assert len(text.encode()) < 2e6
    assert seconds < 10
    assert Page(text).problems == []


def write_many(outputs, dataset, loss, seed, curve):
    """write_run counts the folders, which is quadratic."""
    record = write_many.__dict__.setdefault("template", None)
    if record is None:
        record = write_run(outputs / "template", loss="x")
        write_many.template = record
    folder = f"{dataset}/mlp/{loss}/seed{seed}-{hash((dataset, loss, seed)) & 0xFFFFFFFF:08x}"
    others = {f"validation/other{k}": 0.123456789 for k in range(9)}
    rows = [{"step": 100 * (i + 1), "train/loss": 1 - value, "validation/accuracy": value, **others}
            for i, value in enumerate(curve.tolist())]  # fmt: skip
    path = outputs / "runs" / folder
    path.mkdir(parents=True)
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = {
        **record, "folder": folder, "seed": seed, "choices": {**record["choices"], "dataset": dataset, "loss": loss},
        "best": {**rows[-1], "test/accuracy": float(curve.mean())}, "final": rows[-1],
        "overrides": [f"dataset={dataset}", f"loss={loss}", f"seed={seed}", "budget.epochs=20", "optimizer.lr=0.003"],
    }  # fmt: skip
    (path / "record.json").write_text(json.dumps(own))


# --- the command and its files -----------------------------------------------------------------------------------


def test_files(outputs, tmp_path, capsys):
    path = tmp_path / "new" / "index.html"
    assert report_command.run(["--outputs", str(outputs), "--figures", "svg,pdf", "--latex", "-o", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"written: {path}" in out and "digits: focal: better than cross_entropy" in out
    files = {file.name: file for file in (tmp_path / "new" / "index-files").iterdir()}
    stems = {"difference-digits", "difference-wine_b_bread_b", "interquartile-mean", "profile", "training-loss-digits",
             "training-loss-wine_b_bread_b", "validation-digits", "validation-wine_b_bread_b"}  # fmt: skip
    tables = {"comparison.tex", "over-data-sets.tex", "time-to-target.tex"}
    assert set(files) == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "pdf")} | tables
    for name, file in files.items():
        content = file.read_bytes()
        if name.endswith(".svg"):
            assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
        elif name.endswith(".pdf"):
            assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
    section = gather(outputs, Question()).sections[0]
    assert files["comparison.tex"].read_text() == render(section.table, "latex")
    assert files["time-to-target.tex"].read_text() == render(section.times, "latex")


def test_file_names():
    assert report_command._file_name("difference-../a b/ü:*") == "difference-.._a_b"
    assert report_command._file_name("\u00fc") == "figure"
    taken = {Path("f/a.svg"): b"", Path("f/a-2.svg"): b""}
    assert report_command._free(taken, Path("f/a.svg")) == Path("f/a-3.svg")


def test_no_matplotlib_without_figures(outputs, tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from lossbench.results.report_command import run; "
        f"run(['--outputs', {str(outputs)!r}, '-o', {str(tmp_path / 'r.html')!r}]); "
        "assert not {'matplotlib', 'scipy', 'pandas', 'torchvision', 'wandb', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--figures", "svgg"], "did you mean 'svg'"), (["-o", "{folder}"], "is a folder")],
)
def test_wrong_options(outputs, tmp_path, arguments, message):
    with pytest.raises(UsageError, match=message):
        report_command.run(["--outputs", str(outputs), *(a.format(folder=tmp_path) for a in arguments)])


def test_figures_take_any_name_and_repeat(monkeypatch):
    names = ("_hidden", "$x$", NASTY, "$ and _")
    curves = [Curve(name, [1, 2], [0.1 * i + 0.1, 0.2], [0.1, 0.1], [0.3, 0.3]) for i, name in enumerate(names)]
    styles = {name: i for i, name in enumerate(names)}
    chart = LineChart("k", "$title$ _", "step", "y_$", curves)
    intervals = IntervalChart("k", "t", "x", [Interval(name, 0.1, math.nan, math.nan) for name in names], "left", True)
    points = [contents.Points(name, [0.1], [0.2], ["w"]) for name in names]
    scatter = contents.ScatterChart("k", "$t$", "kl_$", "y", points, [Curve("limit", [0.0, 0.1], [0.0, 0.3])])
    for drawn in (chart, intervals, scatter):
        once, again = figures.draw(drawn, styles, "svg"), figures.draw(drawn, styles, "svg")
        assert once == again and len(once) > 5000
    monkeypatch.setitem(figures.SETTINGS, "svg.fonttype", "none")  # text as text
    for drawn, title in ((chart, "$title$ _"), (scatter, "$t$")):
        words = "".join(ElementTree.fromstring(figures.draw(drawn, styles, "svg")).itertext())
        assert all(name in words for name in (*names, title))


# --- in a browser ------------------------------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(browser.executable() is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def file(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report with space & more.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium():
    with browser.Browser() as opened:
        yield opened


COLUMN = """(name) => {
  const table = document.querySelector('#runs table');
  const column = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === name);
  return [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[column].textContent);
}"""
PRESS = """(name) => [...document.querySelectorAll('#runs th button')].find((b) => b.textContent === name).click()"""


@needs_browser
def test_browser_has_no_complaint_and_asks_for_nothing(chromium, file):
    for settings in ({}, {"dark": True}, {"width": 390, "height": 844}, {"script": False}):
        chromium.look(**settings)
        chromium.open(file)
        assert chromium.complaints() == []
        assert chromium.requests() in ([file.as_uri()], [file.as_uri(), "data:,"])
    chromium.look()
    assert chromium.evaluate("window.stolen === undefined && document.images.length") == 0


@needs_browser
def test_browser_shows_that_it_would_notice(chromium, file, tmp_path):
    """A page with a script that fails, one that is not allowed, and a picture from elsewhere."""
    bad = file.read_text().replace("</body>", '<script>stolen = 1</script><img src="https://example.org/x.png"></body>')
    path = tmp_path / "bad.html"
    path.write_text(bad)
    chromium.look()
    chromium.open(path)
    told = " ".join(chromium.complaints())
    assert "violates" in told and "img-src" in told and "script-src" in told
    assert chromium.evaluate("typeof stolen") == "undefined"
    path.write_text("<script>console.error('one'); missing()</script><img src='https://example.org/x.png'>")
    chromium.open(path)
    assert len(chromium.complaints()) >= 2
    assert "https://example.org/x.png" in chromium.requests()


@needs_browser
def test_sorting_and_filtering(chromium, file, report):
    chromium.look()
    chromium.open(file)

    def column(name):
        return chromium.evaluate(f"({COLUMN})({json.dumps(name)})")

    columns = list(report.runs.columns)
    scores = [row[columns.index("test/accuracy")] for row in report.runs.rows]
    known = sorted(score for score in scores if score is not None)
    for direction in (1, -1):
        chromium.evaluate(f"({PRESS})('test/accuracy')")
        shown = column("test/accuracy")
        assert [float(text) for text in shown[: len(known)]] == pytest.approx(known[::direction], abs=1e-4)
        assert set(shown[len(known) :]) == {""}  # what has no score stays at the end
    chromium.evaluate(f"({PRESS})('seed')")
    assert [int(seed) for seed in column("seed")] == sorted(row[columns.index("seed")] for row in report.runs.rows)
    assert chromium.evaluate("document.querySelectorAll('#runs th[aria-sort]').length") == 1

    typed = """(words) => {
      const box = document.querySelector('#runs input');
      box.value = words;
      box.dispatchEvent(new Event('input'));
      return document.querySelector('#runs .tools span').textContent;
    }"""
    assert chromium.evaluate(f"({typed})('DIVERGED digits')") == "3 of 55 rows"
    assert set(column("status")) == {"diverged"} and set(column("dataset")) == {"digits"}
    assert chromium.evaluate(f"({typed})('<script>')") == "16 of 55 rows"
    assert chromium.evaluate(f"({typed})('nothing like this')") == "0 of 55 rows"
    assert chromium.evaluate(f"({typed})('')") == "" and len(column("seed")) == 55


@needs_browser
def test_copying_gives_the_whole_command(chromium, file, report):
    chromium.look()
    chromium.open(file)
    copied = chromium.evaluate("""(async () => {
      let copied = null;
      Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => { copied = text; } } });
      document.querySelector('#reproduce .copy').click();
      await new Promise((resolve) => setTimeout(resolve, 0));
      return [copied, document.querySelector('#reproduce .copy').textContent];
    })()""")
    assert copied == [report.sections[0].commands.rows[0][-1], "copied"]


@needs_browser
def test_whole_without_script(chromium, file):
    chromium.look(script=False)
    chromium.open(file)
    words = chromium.evaluate("document.body.innerText")
    assert chromium.evaluate("document.querySelectorAll('button, input').length") == 0  # none that does nothing
    assert "better than cross_entropy" in words and "lossbench train -m" in words and "no </style> <img src=x>" in words
    chromium.look()


FITS = """() => {
  const problems = [];
  const whole = document.documentElement.scrollWidth;
  if (whole > innerWidth) problems.push(`the page is ${whole} wide`);
  for (const svg of document.querySelectorAll('svg.chart')) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([words, box], i) => {
      const beside = box.left < frame.left - 1 || box.right > frame.right + 1;
      const beyond = box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
      if (beside || beyond) problems.push(`${words} leaves its chart`);
      if (box.height < 8) problems.push(`${words} is ${box.height} high`);
      for (const [others, other] of texts.slice(i + 1)) {
        const across = box.left < other.right && other.left < box.right;
        const down = box.top + 2 < other.bottom && other.top + 2 < box.bottom;
        if (across && down) problems.push(`${words} lies on ${others}`);
      }
    });
  }
  return problems;
}"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Long names, and numbers with many digits on either axis."""
    outputs = tmp_path_factory.mktemp("wide")
    names = ("cross_entropy", "a_loss_with_a_long_name[gamma=2,alpha=0.25]", "W" * 40, "損失関数" * 12, "m" * 400)
    for number, loss in enumerate(names):
        for seed in range(3):
            write_run(outputs, dataset="d" * 200, loss=loss, seed=seed, metric="mse", every=33_333,
                      score=0.00123 - 0.0001 * number * seed, train=(-0.00124, -0.00123, -0.00121),
                      curve=(12345678.0, 12345600.0, 12345500.0))  # fmt: skip
    path = outputs / "wide.html"
    path.write_text(page.page(gather(outputs, Question())), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def scattered(tmp_path_factory):
    outputs = policies(tmp_path_factory.mktemp("policies"))
    path = outputs / "policies.html"
    path.write_text(page.page(gather(outputs, Question(baseline="dpo"))), encoding="utf-8")
    return path


@needs_browser
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_everything_fits(chromium, file, wide, scattered, width):
    chromium.look(width=width)
    for path in (file, wide, scattered):
        chromium.open(path)
        assert chromium.evaluate(f"({FITS})()") == []


@needs_browser
def test_the_answer_is_on_the_first_screen(chromium, file):
    chromium.look(1280, 800)
    chromium.open(file)
    assert chromium.evaluate("document.querySelector('.answer').getBoundingClientRect().bottom") < 800


@needs_browser
def test_schemes_and_print(chromium, file):
    colour = "getComputedStyle(document.body).backgroundColor"
    line = "getComputedStyle(document.querySelector('.s1 .line')).stroke"
    seen = {}
    for name, settings in {"light": {}, "dark": {"dark": True}, "print": {"dark": True, "media": "print"}}.items():
        chromium.look(**settings)
        chromium.open(file)
        seen[name] = (chromium.evaluate(colour), chromium.evaluate(line))
    assert seen["light"] == seen["print"] == ("rgb(255, 255, 255)", "rgb(0, 104, 176)")
    assert seen["dark"] == ("rgb(20, 23, 26)", "rgb(94, 176, 242)")
    chromium.look()
    chromium.open(file)
    assert chromium.pdf().startswith(b"%PDF-")
