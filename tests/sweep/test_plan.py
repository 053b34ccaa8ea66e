"""The plan: what a command line expands to, what is refused before run 0, and that nothing is composed in vain."""

import json
import time

import pytest
import torch
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery

from lossbench import building, cli, hydra_configs, run
from lossbench.composing import references
from lossbench.errors import UsageError
from lossbench.listing import compatible
from lossbench.locations import config_files
from lossbench.sweep import plan as plans
from lossbench.sweep.command import select
from tests import engine


class Loader(ConfigLoaderImpl):
    """Hydra's, counting what it composes."""

    def __init__(self, own=None):
        hydra_configs.register()
        path = create_config_search_path(None)
        if own is not None:
            path.prepend("command-line", f"file://{own}", SearchPathQuery(provider="schema"))
        super().__init__(path)
        self.composed = 0

    def load_configuration(self, *args, **options):
        self.composed += 1
        return super().load_configuration(*args, **options)


def make(*arguments, loader=None, here=True):
    return plans.make_plan(arguments, loader or Loader(), here=here)


def settings(plan, *keys):
    """The values of some dotted keys, for every run."""

    def value(config, key):
        for part in key.split("."):
            config = config.get(part) if isinstance(config, dict) else None
        return config

    return [tuple(value(prepared.config, key) for key in keys) for prepared in plan.runs]


def losses(plan):
    return [prepared.config["choices"]["loss"] for prepared in plan.runs]


# --- what a command line means -----------------------------------------------------------------------------------


def test_a_key_that_only_some_losses_have_applies_to_those():
    plan = make("loss=cross_entropy,focal", "loss.gamma=1,2")
    assert losses(plan) == ["cross_entropy", "focal", "focal"]
    assert settings(plan, "loss.gamma") == [(None,), (1,), (2,)]
    assert len({prepared.run for prepared in plan.runs}) == 3


def test_also_a_fixed_one():
    plan = make("loss=cross_entropy,focal", "loss.gamma=5")
    assert settings(plan, "loss.gamma") == [(None,), (5,)]


def test_keys_of_models_optimizers_and_schedules_too():
    plan = make("optimizer=adamw,sgd", "optimizer.momentum=0.5,0.9", "model=mlp,linear", "model.widths=[8],[8,8],[16]")
    assert len(plan.runs) == (1 + 2) * (3 + 1)  # adamw has no momentum, linear no widths
    assert {str(widths) for (widths,) in settings(plan, "model.widths")} == {"None", "[8]", "[8, 8]", "[16]"}


@pytest.mark.parametrize(
    "override, values",
    [
        ("seed=range(3)", [0, 1, 2]),
        ("seed=range(2,8,3)", [2, 5]),
        ("seed=choice(7,5)", [7, 5]),
        ("seed=4", [4]),
        ("optimizer.lr=sort(0.3,0.1)", [0.1, 0.3]),
        ("clip_norm=null,1.5", [None, 1.5]),
        ("deterministic=false,true", [False, True]),
        ("seed=1,2 seed=3", [3]),
    ],
)
def test_the_override_grammar(override, values):
    assert [v for (v,) in settings(make(*override.split()), override.split("=")[0])] == values


def test_glob():
    hosted = compatible("classification")
    names = [name for name in config_files("loss") if name.startswith(("f", "poly")) and name in hosted]
    assert losses(make("loss=glob([f*,poly*])")) == names
    plan = make("loss=glob(mean_*,exclude=*absolute*)", "dataset=digits,diabetes")  # for regression
    assert [prepared.config["choices"]["dataset"] for prepared in plan.runs] == ["diabetes"]


def test_lists_of_variants_are_one_value_and_can_be_swept():
    plan = make("variant=[long_tailed],[subset]", "variant.long_tailed.imbalance_factor=10,20")
    assert [list(prepared.config["variant"]) for prepared in plan.runs] == [["long_tailed"]] * 2 + [["subset"]]


def test_loss_all_is_what_a_run_can_be_built_with(tmp_path):
    plan = make("loss=all", f"outputs={tmp_path}")

    def can_be_built(name):
        try:
            building.build(engine.prepared(tmp_path, f"loss={name}").config, torch.device("cpu"))
        except UsageError:
            return False
        return True

    can = {name for name in config_files("loss") if can_be_built(name)}
    assert set(losses(plan)) == can
    assert {choice.removeprefix("loss=") for choice in plan.skipped} == set(config_files("loss")) - can
    assert all(reason.startswith(("needs ", "takes ")) for reason in plan.skipped.values())


def test_loss_all_is_taken_for_each_data_set():
    plan = make("loss=all", "dataset=digits,digits_multilabel")
    of = {name: set(losses(make("loss=all", f"dataset={name}"))) for name in ("digits", "digits_multilabel")}
    assert of["digits"] != of["digits_multilabel"]
    for name, expected in of.items():
        assert {p.config["choices"]["loss"] for p in plan.runs if p.config["choices"]["dataset"] == name} == expected
    assert not set(plan.skipped) & {f"loss={name}" for name in set().union(*of.values())}


def test_another_group_has_all_too():
    assert len(make("schedule=all").runs) == len(config_files("schedule"))


def test_settings_that_are_the_same_run_are_one():
    plan = make("budget.steps=10", "budget.epochs=1,2")  # steps win over epochs
    assert len(plan.runs) == 1 and plan.repeated == 1


# --- as Hydra has it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["loss=focal,polyloss,center", "schedule=wsd,cosine", "optimizer=adamw,sgd,sam"],
        ["dataset=digits,wine,digits_multilabel", "loss=all"],
        ["paper=polyloss,squentropy", "seed=0,1"],
        ["optimizer=sam", "optimizer.base.lr=0.1,0.2"],
        ["optimizer=sam", "optimizer@optimizer.base=adamw,sgd", "loss=focal,brier"],
        ["variant=[long_tailed,symmetric_label_noise]", "regularizer=l2_norm", "seed=3"],
        ["+loss.weight=null", "++optimizer.lr=0.5", "loss=focal,cross_entropy"],
        ["optimizer.betas=[0.8,0.9],[0.9,0.99]"],
        ["loss=classification/focal,polyloss"],
    ],
)
def test_every_run_is_the_one_that_hydra_composes(arguments, tmp_path, monkeypatch):
    """The overrides that a run keeps, given to Hydra as a single run: the same config, and so the same hash."""
    monkeypatch.setattr(engine, "FIXED", ())
    if "+loss.weight=null" in arguments:  # a key that no loss has is refused, but only after it was composed
        with pytest.raises(UsageError, match="weight"):
            make(*arguments)
        arguments = arguments[1:]
    plan = make(*arguments, f"outputs={tmp_path}")
    for prepared in plan.runs[:: max(1, len(plan.runs) // 8)]:
        alone = engine.prepared(tmp_path, *(o for o in prepared.overrides if not o.startswith("outputs")))
        assert alone.config == prepared.config
        assert alone.run == prepared.run and alone.folder == prepared.folder


def test_what_a_preset_adds_to_a_node_is_not_lost(tmp_path):
    """A choice is not put in the place of another where something else has written into its node."""
    (tmp_path / "paper").mkdir()
    preset = "# @package _global_\nloss:\n  gamma: 7.0\nseed: 4\npaper: {}\n"
    (tmp_path / "paper" / "mine.yaml").write_text(preset)
    plan = make("paper=mine", "loss=focal,dual_focal", loader=Loader(tmp_path))
    assert settings(plan, "loss.gamma", "seed") == [(7.0, 4), (7.0, 4)]
    assert losses(plan) == ["focal", "dual_focal"]


def test_a_user_s_own_losses_are_among_all(tmp_path):
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text(
        "_target_: lossbench.losses.classification.focal.focal\n_partial_: true\ngamma: 3.0\n"
    )
    plan = make("loss=all", loader=Loader(tmp_path))
    assert set(losses(plan)) == {*losses(make("loss=all")), "mine"}
    assert "mine" in losses(make("loss=glob(m*)", loader=Loader(tmp_path)))


def test_interpolations_follow_what_is_swept():
    plan = make("optimizer=sam", "optimizer.base.lr=0.1,0.2", "optimizer.rho=0.1")
    assert settings(plan, "optimizer.base.lr", "optimizer.lr") == [(0.1, 0.1), (0.2, 0.2)]


def test_references():
    config = {"a": "${b.c}", "b": {"c": 1, "d": "${.c}", "e": {"f": "x-${..c}-${a}"}}, "p": "${oc.env:HOME,here}"}
    assert references(config) == {"b.c", "a"}
    assert references({"a": "${b.${c}}"}) == {"c", None}  # could be anything
    assert references({"a": ["${b}"]}) == {"b"}


def test_composed_once_per_combination_of_groups_at_most():
    loader = Loader()
    plan = make("loss=focal,polyloss,brier", "schedule=wsd,cosine,constant", "optimizer.lr=0.1,0.2", loader=loader)
    assert len(plan.runs) == 18
    assert loader.composed == 1  # plain files of plain groups
    loader = Loader()
    make("loss=focal,polyloss", "optimizer=adamw,sam", "seed=range(0,5)", loader=loader)
    assert loader.composed == 2  # sam is composed of two files; each optimizer is composed, the losses are not


def test_ten_thousand_runs_take_seconds(tmp_path):
    began = time.process_time()
    loader = Loader()
    plan = make("loss=cross_entropy,focal", "optimizer.lr=0.1,0.2,0.3,0.4,0.5", "seed=range(0,1000)", loader=loader)
    path = plans.write(plan, tmp_path)
    seconds = time.process_time() - began
    assert len(plan.runs) == 10_000 == len({prepared.folder for prepared in plan.runs})
    assert loader.composed == 1
    assert plans.read_one(path, 9_999) == plan.runs[-1]
    assert seconds < 10, f"{seconds:.1f} s"  # 2 s on a quiet machine


def test_the_file_holds_the_whole_plan(tmp_path):
    plan = make("loss=cross_entropy,focal", "loss.gamma=1,2", f"outputs={tmp_path}")
    path = plans.write(plan, tmp_path / "plan")
    assert plans.read(path) == plan.runs
    assert [plans.read_one(path, i) for i in (2, 0)] == [plan.runs[2], plan.runs[0]]
    assert [json.loads(line)["config"] for line in path.read_text().splitlines()] == [p.config for p in plan.runs]


# --- refused before run 0 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["loss=cross_entropy,focal", "loss.gama=1,2"], ["loss.gama", "did you mean 'loss.gamma'"]),
        (["loss=cross_entropy,brier", "loss.gamma=2"], ["loss.gamma", "no run of this sweep has such a key"]),
        (["optimiser.lr=0.1,0.2"], ["optimiser.lr", "optimizer.lr"]),
        (["loss=focal,polylos"], ["polylos", "did you mean 'polyloss'"]),
        (["loss=glob(nothing*)"], ["loss", "nothing that fits"]),
        (["loss=focal", "loss.gamma=1,-2"], ["loss.gamma=-2", ">= 0"]),
        (["optimizer.lr=0.1,abc"], ["optimizer.lr=abc", "a number"]),
        (["seed=0,1.5"], ["seed=1.5", "whole number"]),
        (["seed=1,2,1"], ["seed", "twice"]),
        (["loss=focal", "loss=brier"], ["loss", "twice"]),
        (["optimizer.lr=interval(0,1)"], ["optimizer.lr", "search="]),
        (["time_limit=1,2"], ["time_limit", "cannot change a result"]),
        (["data.workers=1,2"], ["data.workers", "cannot change a result"]),
        (["budget.steps=0,1"], ["budget.steps=0", ">= 1"]),
        (["batch_size=100", "accumulation=1,3"], ["accumulation=3", "batch_size=100"]),
        (["loss=cross_entropy,huber"], ["loss=huber", "needs predictions", "task=classification"]),
        (["regularizer=[l2_norm]", "regularizer.l2_norm.weight=-1"], ["regularizer.l2_norm.weight=-1"]),
        (["device=cuda:99"], ["device=cuda:99"]),
    ],
)
def test_refused(arguments, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "-m", *arguments, f"outputs={tmp_path / 'outputs'}"])
    printed = capsys.readouterr()
    assert caught.value.code == 2
    assert printed.out == "" and len(printed.err.splitlines()) == 1
    for word in words:
        assert word in printed.err
    assert not (tmp_path / "outputs").exists()


def test_a_refused_value_names_its_run():
    with pytest.raises(UsageError, match=r"loss=focal .*loss.gamma=-1"):
        make("loss=cross_entropy,focal", "loss.gamma=1,-1", "seed=range(0,100)")


def test_outputs_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "-m", "seed=0,1", f"outputs={tmp_path / 'file' / 'outputs'}"])
    assert caught.value.code == 2 and "outputs=" in capsys.readouterr().err


# --- what is said, and what is left to do ------------------------------------------------------------------------


def dry_run(tmp_path, capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "--dry-run", *arguments, f"outputs={tmp_path / 'outputs'}"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_dry_run_says_what_would_run_and_writes_nothing(tmp_path, capsys):
    printed = dry_run(tmp_path, capsys, "loss=cross_entropy,focal,polyloss", "seed=range(0,5)")
    assert "15 runs, 0 finished before, 15 to do" in printed
    assert "seeds: 5; comparing 3 configurations" in printed and "needs 7" in printed and "too few" in printed
    assert "estimated: unknown" in printed
    assert not (tmp_path / "outputs").exists()
    assert "enough" in dry_run(tmp_path, capsys, "loss=cross_entropy,focal,polyloss", "seed=range(0,7)")


def test_dry_run_knows_what_is_finished_and_how_long_it_took(tmp_path, capsys):
    arguments = ["loss=cross_entropy,focal", "seed=0,1", "budget.steps=1"]
    first, *_ = make(*arguments, f"outputs={tmp_path / 'outputs'}").runs
    record = run.execute(first)
    path = first.folder / "record.json"
    record["time"]["wall_seconds"] = 20.0
    path.write_text(json.dumps(record))
    before = sorted((tmp_path / "outputs").rglob("*"))
    printed = dry_run(tmp_path, capsys, *arguments)
    assert "4 runs, 1 finished before, 3 to do" in printed
    assert "estimated: 60 s" in printed
    assert sorted((tmp_path / "outputs").rglob("*")) == before
    printed = dry_run(tmp_path, capsys, *arguments, "budget.steps=2")  # another budget: no estimate
    assert "0 finished before" in printed and "estimated: unknown" in printed


@pytest.mark.parametrize("comparisons, seeds", [(1, 6), (5, 8), (10, 9)])
def test_seeds_needed(comparisons, seeds, tmp_path, capsys):
    """The smallest sign-flip p is 2 / 2^n, times the number of comparisons: 2^n >= 40 m."""
    rates = ",".join(str((i + 1) / 100) for i in range(comparisons + 1))
    printed = dry_run(tmp_path, capsys, f"optimizer.lr={rates}")
    assert f"needs {seeds} before" in printed and 2**seeds >= 40 * comparisons > 2 ** (seeds - 1)


def test_no_comparison_no_word_of_seeds(tmp_path, capsys):
    assert "seeds" not in dry_run(tmp_path, capsys, "seed=0,1")


def test_select():
    plan = make("seed=range(0,5)")
    records = [
        None,
        *(
            {"status": s, "run": p.run}
            for s, p in zip(["completed", "diverged", "failed"], plan.runs[1:], strict=False)
        ),
        {"status": "timed_out", "run": plan.runs[4].run},
    ]
    assert list(select(plan, records)) == [0, 3, 4]
    again = make("seed=range(0,5)", "retry=failed")
    assert [p.run for p in again.runs] == [p.run for p in plan.runs]  # retry is no part of a run's identity
    assert list(select(again, records)) == [3, 4]
