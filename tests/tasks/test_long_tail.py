"""Runs on imbalanced data: which metrics they report, and that deferred reweighting waits."""

import json

import pytest

from lossbench import run
from tests.engine import prepared

SHORT = ("budget.epochs=4", "batch_size=32")
LONG_TAILED = ("variant=[long_tailed]", "variant.long_tailed.imbalance_factor=10")
THIRDS = {"head_accuracy", "medium_accuracy", "tail_accuracy", "false_head_rate"}


def reported(tmp_path, *overrides):
    best = run.execute(prepared(tmp_path, *SHORT, *overrides))["best"]
    return {key.removeprefix("test/") for key in best if key.startswith("test/")}


def test_only_imbalanced_runs_report_the_thirds(tmp_path):
    assert reported(tmp_path, *LONG_TAILED) >= THIRDS
    assert not reported(tmp_path) & THIRDS


def test_multilabel_runs(tmp_path):
    data = ("dataset=digits_multilabel", "dataset.num_examples=600", "loss=sparsemax")
    thirds = {"head_average_precision", "medium_average_precision", "tail_average_precision"}
    tuned = {"tuned_micro_f1", "tuned_macro_f1"}
    assert reported(tmp_path, *data, "variant=[long_tailed_labels]") >= thirds | tuned
    plain = reported(tmp_path, *data)
    assert plain >= tuned and not plain & thirds


@pytest.mark.parametrize("name", ["class_balanced", "inverse_frequency"])
def test_deferred_reweighting_waits(tmp_path, name):
    """Of 4 epochs, the first two are those of a run without weights, to the bit; the others are not."""

    def rows(*overrides):
        one = prepared(tmp_path, *SHORT, *LONG_TAILED, *overrides)
        run.execute(one)
        found = [json.loads(line) for line in (one.folder / "metrics.jsonl").read_text().splitlines()]
        return [row["train/loss"] for row in found if "train/loss" in row][:4]

    plain = rows()
    deferred = rows(f"reweighting=[{name}]", f"reweighting.{name}.start=0.5")
    always = rows(f"reweighting=[{name}]")
    assert len(plain) == 4 and deferred[:2] == plain[:2]
    assert deferred[2] != plain[2] and deferred[3] != plain[3]
    assert all(a != b for a, b in zip(always, plain, strict=True))


def test_binary_runs(tmp_path):
    one = ("variant=[one_versus_rest]", "variant.one_versus_rest.positive=3")
    assert "head_accuracy" in reported(tmp_path, *one)
    labels = ("variant.one_versus_rest.encoding=labels", "task=multilabel", "loss=dice")
    assert "micro_f1" in reported(tmp_path, *one, *labels)
