import json
import math
from pathlib import Path

import numpy as np
import pytest

from lossbench.errors import UsageError
from lossbench.results import collect, comparing
from lossbench.results.tables import render


def record(loss="cross_entropy", seed=0, score=0.9, *, status="completed", dataset="digits", validation=None, **config):
    """A record as a run writes it, with what comparing reads."""
    choices = {"dataset": dataset, "loss": loss, "model": "mlp", "optimizer": "adamw", "paper": None}
    base = {
        "seed": seed,
        "data_seed": 0,
        "batch_size": 64,
        "budget": {"epochs": 5},
        "optimizer": {"lr": 0.1},
        "loss": {},
    }
    for key, value in config.items():
        node = base
        *path, last = key.split("__")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    best = {"step": 1, "test/accuracy": score, "validation/accuracy": score if validation is None else validation}
    return {
        "run": "0" * 16,
        "folder": f"{dataset}/mlp/{loss}/seed{seed}",
        "status": status,
        "choices": choices,
        "config": base,
        "seed": seed,
        "best": best if status == "completed" else {},
        "final": {},
        "steps": 1,
        "error": None if status == "completed" else {"type": "Diverged", "message": "NaN", "traceback": ""},
    }


def compared(records, **options):
    return comparing.compare_runs(records, **{"by": "loss", "metric": "test/accuracy", **options})


def test_pairs_by_seed_and_hand_value():
    # differences 0.02, 0.04, 0.03: mean 0.03, standard error 0.01/sqrt(3), t(0.975, 2) = 4.302653
    baseline, method = [0.90, 0.80, 0.85], [0.92, 0.84, 0.88]
    records = [record(seed=s, score=v) for s, v in enumerate(baseline)]
    records += [record("focal", seed=s, score=v) for s, v in reversed(list(enumerate(method)))]
    [found] = compared(records)
    _, row = found.rows
    half = 4.302652729749464 * 0.01 / math.sqrt(3)
    assert (row.name, row.n) == ("focal", 3)
    assert row.difference == pytest.approx(0.03) and row.low == pytest.approx(0.03 - half)
    assert row.p == pytest.approx(2 / 8) and row.verdict == "too few seeds" and "6 seeds are needed" in row.words


def test_diverged_runs_are_counted_never_averaged():
    records = [record(seed=s) for s in range(3)] + [record("focal", seed=s, score=0.95) for s in range(2)]
    [found] = compared([*records, record("focal", seed=2, status="diverged")])
    assert found.rows[1].mean == pytest.approx(0.95) and found.rows[1].diverged == 1
    assert "1 of 3 runs diverged" in found.rows[1].words


def test_hyperparameters_of_the_compared_group_make_methods():
    records = [record(seed=0)] + [record("focal", seed=0, loss__gamma=g) for g in (1.0, 2.0)]
    assert [row.name for row in compared(records)[0].rows] == ["cross_entropy", "focal[gamma=1]", "focal[gamma=2]"]


def test_models_trained_for_others_are_left_out_where_they_do_not_compare():
    def pair(seed, **reference):
        first = {**record(seed=seed, budget__epochs=9, **reference), "run": f"reference{seed}"}
        model = {"train": ["loss=cross_entropy"], "run": first["run"], "folder": "f"}
        policies = [record(loss, seed=seed, task__reference=model) for loss in ("dpo", "focal")]
        return [first, *policies, record("kto", seed=seed, task__references=[model])]

    runs = [run for seed in range(2) for run in pair(seed)]
    [found] = compared(runs, baseline="dpo")
    assert [row.name for row in found.rows] == ["dpo", "focal", "kto"] and found.rows[1].n == 2
    assert found.notes == ["runs left out, because others have their models from them: 2"]
    # One that nobody needs is refused as before.
    with pytest.raises(UsageError, match="differ in budget"):
        compared([*runs, {**record(seed=5, budget__epochs=7), "run": "another"}])
    # A teacher on equal terms is a method like others.
    teacher = {**record(seed=0), "run": "teacher"}
    student = record("focal", seed=0, task__teacher={"train": [], "run": "teacher", "folder": "f"})
    [found] = compared([teacher, student])
    assert [row.name for row in found.rows] == ["cross_entropy", "focal"] and not any(
        "left out" in n for n in found.notes
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budget__epochs": 9}, r"budget.epochs \(5, 9\).*must not be mixed.*--where budget.epochs"),
        ({"data_seed": 1}, r"data_seed.*must not be mixed"),
        ({"batch_size": 8}, r"batch_size \(64, 8\).*must not be mixed"),
        ({"optimizer__lr": 0.3}, r"optimizer.lr \(0.1, 0.3\).*--tuned"),
    ],
)
def test_refuses_to_mix(change, words):
    records = [record(seed=0), record("focal", seed=0, **change)]
    with pytest.raises(UsageError, match=words):
        compared(records)
    if "tuned" not in words:
        [found] = compared(records, mix=True)
        assert any("mixed, as asked" in note for note in found.notes)


def test_tuned_chooses_on_validation_not_on_test():
    good_on_test = {"score": 0.99, "validation": 0.5, "optimizer__lr": 0.1}
    good_on_validation = {"score": 0.90, "validation": 0.9, "optimizer__lr": 0.2}
    records = [record(loss, seed=s, **own) for loss in ("cross_entropy", "focal") for s in range(2)
               for own in (good_on_test, good_on_validation)]  # fmt: skip
    [found] = compared(records, tuned=True)
    assert [row.mean for row in found.rows] == pytest.approx([0.90, 0.90]) and found.trials == {
        "cross_entropy": 2,
        "focal": 2,
    }
    [found] = compared([*records, record("focal", seed=0, optimizer__lr=0.5)], tuned=True)
    assert any("number of settings" in note for note in found.notes)


def test_where():
    records = [record(seed=0, optimizer__lr=lr) for lr in (0.1, 0.03)] + [record("focal", seed=0)]
    assert len(comparing.where(records, ["optimizer.lr=0.03"])) == 1
    assert len(comparing.where(records, ["loss=focal,cross_entropy", "optimizer.lr=0.1"])) == 2
    with pytest.raises(UsageError, match=r"optimiser.lr: no run has such a key, did you mean 'optimizer.lr'"):
        comparing.where(records, ["optimiser.lr=1"])
    with pytest.raises(UsageError, match="not key=value"):
        comparing.where(records, ["loss"])


def test_errors_name_what_there_is():
    records = [record(seed=0), record("focal", seed=0)]
    with pytest.raises(UsageError, match=r"--metric test/acuracy: no run reports it, did you mean 'test/accuracy'"):
        compared(records, metric="test/acuracy")
    with pytest.raises(UsageError, match=r"--baseline focl.*did you mean 'focal'"):
        compared(records, baseline="focl")
    with pytest.raises(UsageError, match=r"--by los: .*did you mean 'loss'"):
        compared(records, by="los")
    with pytest.raises(UsageError, match="no finished runs"):
        compared([])


def test_holm_is_over_all_data_sets():
    """Four comparisons with p = 2/2^6: 4 * 0.03125 = 0.125 does not reject; one alone would."""
    records = [record(loss, seed=s, score=0.5 + 0.01 * s * (loss == "focal") + 0.01 * (loss == "focal"), dataset=d)
               for d in ("a", "b", "c", "d") for loss in ("cross_entropy", "focal") for s in range(6)]  # fmt: skip
    assert compared([r for r in records if r["choices"]["dataset"] == "a"])[0].rows[1].verdict == "better"
    rows = [comparison.rows[1] for comparison in compared(records)]
    assert [row.holm_p for row in rows] == pytest.approx([0.125] * 4) and {row.verdict for row in rows} == {
        "too few seeds"
    }


def test_interquartile_mean_over_data_sets():
    # 4 seeds x 2 data sets, scores 1..8 per data set 1..4 and 5..8: the middle half of 1..8 is 3, 4, 5, 6
    records = [record(loss, seed=s, score=float(1 + s + 4 * (d == "b")), dataset=d)
               for d in "ab" for loss in ("cross_entropy", "focal") for s in range(4)]  # fmt: skip
    table = comparing.over_datasets_table(compared(records), "test/accuracy", "loss")
    assert [row[:2] for row in table.rows] == [["cross_entropy", 4.5], ["focal", 4.5]]
    assert comparing.over_datasets_table(compared(records[:8]), "test/accuracy", "loss") is None


def test_family_wise_error_on_null_data():
    """Ten losses that are all cross-entropy: resampled records through the whole path. A verdict anywhere in a family
    is an error; 200 repetitions at 5 % stay below 0.05 + 2.6 binomial standard errors."""
    generator = np.random.default_rng(0)
    errors = {8: 0, 10: 0}
    for seeds in errors:
        for _ in range(200):
            level = generator.normal(0.9, 0.02, seeds)  # what the seed gives all losses
            names = ["cross_entropy", *(f"loss_{i}" for i in range(1, 10))]
            records = [record(name, seed=s, score=level[s] + generator.normal(0, 0.01))
                       for name in names for s in range(seeds)]  # fmt: skip
            rows = compared(records)[0].rows
            errors[seeds] += any(row.verdict in ("better", "worse") for row in rows)
    assert errors[8] == 0  # 9 comparisons need 9 seeds: with 8 the test cannot reject, and says so
    assert errors[10] <= 200 * 0.05 + 2.6 * math.sqrt(200 * 0.05 * 0.95)
    assert {row.verdict for row in rows[1:]} <= {"no difference shown", "better", "worse"}


def test_collect_is_a_function_of_the_folders(tmp_path: Path):
    for own in (record(seed=0), record("focal", seed=1, status="diverged")):
        folder = tmp_path / "runs" / own["folder"]
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(own))
    (tmp_path / "runs" / "digits" / "mlp" / "begun").mkdir()
    (tmp_path / "runs" / "digits" / "mlp" / "begun" / "config.yaml").write_text("seed: 0")
    rows, columns = collect.collect(tmp_path)
    assert [row["status"] for row in rows] == ["completed", "diverged"] and rows[0]["config.optimizer.lr"] == 0.1
    assert len(collect.unfinished(tmp_path)) == 1
    csv_path, parquet_path = collect.write(tmp_path, rows, columns)
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(parquet_path).column("seed").to_pylist() == [0, 1]
    assert csv_path.read_text().splitlines()[0].split(",")[:3] == ["run", "folder", "status"]
    (tmp_path / "runs" / rows[0]["folder"] / "record.json").write_text("{")
    with pytest.raises(UsageError, match=r"record.json is damaged"):
        collect.collect(tmp_path)


def test_table_has_the_words():
    records = [record(seed=0), record("focal", seed=0)]
    text = render(comparing.comparison_table(compared(records), "test/accuracy", "loss"))
    assert "too few seeds" in text and "6 seeds are needed" in text


def test_a_recipe_brings_its_parts():
    """Its loss, advantage and reduction are what is compared; another optimizer is not. Two settings of it are two."""

    def recipe(name, seed, **config):
        parts = {"grpo": ("group_normalized", "sequence_mean"), "dr_grpo": ("group_centered", "fixed_length_mean")}
        score = 0.5 + 0.1 * (name == "grpo")
        found = record("clipped_policy_gradient", seed, score, **{"loss__clip_high": 0.2, **config})
        advantage, reduction = parts[name]
        found["choices"] |= {"recipe": name, "advantage": advantage, "reduction": reduction}
        return found

    records = [recipe(name, seed) for name in ("grpo", "dr_grpo") for seed in range(3)]
    [found] = compared(records, by="recipe", baseline="dr_grpo")
    assert [row.name for row in found.rows] == ["dr_grpo", "grpo"] and found.rows[1].difference == pytest.approx(0.1)
    wider = [recipe("grpo", seed, loss__clip_high=0.3) for seed in range(3)]
    [found] = compared([*records, *wider], by="recipe", baseline="dr_grpo")
    assert {row.name for row in found.rows} == {"dr_grpo", "grpo[loss.clip_high=0.2]", "grpo[loss.clip_high=0.3]"}
    with pytest.raises(UsageError, match=r"differ in optimizer\.lr"):
        compared([*records, *(recipe("grpo", seed, optimizer__lr=1.0) for seed in range(3))], by="recipe")


def test_a_message_does_not_name_hundreds_of_metrics():
    one = record()
    one["best"] |= {f"test/corrupted_{i}/accuracy": 0.5 for i in range(300)}
    with pytest.raises(
        UsageError, match=r"did you mean 'test/accuracy'\? There are: test/accuracy and 302 more"
    ) as error:
        compared([one], metric="test/acuracy")
    assert len(str(error.value)) < 200


def test_data_sets_without_the_baseline_are_left_out():
    records = [record(loss, seed) for loss in ("cross_entropy", "focal") for seed in range(3)]
    records += [record(loss, seed, dataset="bradley_terry") for loss in ("dpo", "ipo") for seed in range(3)]
    [found] = compared(records, baseline="cross_entropy")
    assert found.dataset == "digits" and any("left out" in n and "bradley_terry" in n for n in found.notes)
    with pytest.raises(UsageError, match="no finished run has loss=hinge"):
        compared(records, baseline="hinge")
