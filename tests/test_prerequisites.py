"""Runs that need the models of other runs: these are trained first, once, and shared."""

import json

import pytest
import torch
import yaml

from lossbench import building, cli, contract, preparing, run
from lossbench.errors import RunError, UsageError
from lossbench.frozen import replacing
from lossbench.papers import claims, command
from lossbench.results import comparing
from lossbench.sweep.plan import make_plan
from lossbench.tasks import tasks
from tests.engine import prepared

STUDENT = ("task=distillation", "loss=distillation", "budget.steps=3")
LINEAR = "task.teacher={train:{model:linear,budget.steps:5}}"


def records(outputs) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(outputs.rglob("record.json"))]


def test_the_teacher_is_trained_first_and_is_a_run_like_any_other(tmp_path):
    student = prepared(tmp_path, *STUDENT, LINEAR, "seed=3", "variant=[subset]", "variant.subset.fraction=0.5")
    (teacher,) = student.prerequisites
    run.execute(student)
    record = teacher.record
    assert record["status"] == "completed" and record["steps"] == 5 and record["choices"]["task"] == "classification"
    assert record["seed"] == 3 and record["choices"]["variant"] == ["subset"]  # those of the student
    alone = prepared(tmp_path, "model=linear", "budget.steps=5", "seed=3", "variant=[subset]",
                     "variant.subset.fraction=0.5", "batch_size=64")  # fmt: skip
    assert alone.run == teacher.run and alone.folder == teacher.folder
    frozen = building.build(student.config, torch.device("cpu"))["objective"].task._teacher
    kept = torch.load(teacher.folder / "weights.pt", weights_only=False)["model"]
    assert all(torch.equal(value, kept[name]) for name, value in frozen.state_dict().items())


def test_a_student_is_named_by_how_its_teacher_is_trained(tmp_path):
    first = prepared(tmp_path, *STUDENT, LINEAR)
    assert first.run == prepared(tmp_path, *STUDENT, LINEAR).run
    assert first.run == prepared(tmp_path, *STUDENT, 'task.teacher={train:["model=linear","budget.steps=5"]}').run
    assert first.run != prepared(tmp_path, *STUDENT, LINEAR.replace("5", "6")).run
    other = prepared(tmp_path, *STUDENT, "task.teacher={train:{model:linear,budget.steps:5},seed_offset:100}")
    assert other.run != first.run and other.prerequisites[0].config["seed"] == 100


def test_an_override_of_its_own_goes_before_what_is_inherited(tmp_path):
    student = prepared(tmp_path, *STUDENT, "seed=1", "task.teacher={train:{model:linear,seed:7}}")
    assert student.prerequisites[0].config["seed"] == 7
    assert student.prerequisites[0].config["dataset"] == student.config["dataset"]


MAPPING = "task.teacher={train:{model:linear,budget.steps:5},seed_offset:2}"
LIST = 'task.teacher={train:["model=linear","budget.steps=5"]}'
PRESET = {"task": {"teacher": {"train": {"model": "convnet", "budget.epochs": 3, "batch_size": 32}, "seed_offset": 9}}}
LISTED = {"task": {"teacher": {"train": ["model=convnet", "budget.epochs=3", "batch_size=32"], "seed_offset": 9}}}


@pytest.mark.parametrize("stands", [PRESET, LISTED], ids=["mapping", "list"])
@pytest.mark.parametrize(
    ("given", "seed"),
    [
        (MAPPING, 2),
        (LIST, 0),
        ("++" + LIST, 0),
        ("task.teacher.train={model:linear,budget.steps:5}", 9),
        ('task.teacher.train=["model=linear","budget.steps=5"]', 9),
    ],
)
@pytest.mark.parametrize("way", ["command line", "sweep", "preset"])
def test_how_a_teacher_is_trained_replaces_what_a_preset_says(way, given, seed, stands, tmp_path, monkeypatch):
    """A list and a mapping in each other's place; and of the mapping before no key is left, such as its batch size."""
    (tmp_path / "configs" / "paper").mkdir(parents=True)
    key, _, value = given.lstrip("+").partition("=")
    baseline = {key: yaml.safe_load(value.replace(":", ": "))}
    paper = {"claim": "A.", "metric": "test/accuracy", "direction": "higher", "seeds": 2, "baselines": [baseline]}
    defaults = [{"override /task": "distillation"}, {"override /loss": "distillation"}]
    content = yaml.safe_dump({"defaults": defaults, "budget": {"epochs": 1}, **stands, "paper": paper})
    (tmp_path / "configs" / "paper" / "mine.yaml").write_text("# @package _global_\n" + content)
    common = [f"outputs={tmp_path / 'out'}", "device=cpu"]
    if way == "command line":
        found = []
        monkeypatch.setattr(cli, "train_prepared", lambda prepared: found.append(prepared) or 0)
        arguments = ["--config-dir", str(tmp_path / "configs"), "paper=mine", given, *common]
        assert cli.train(arguments) == 0
        (student,) = found
    else:
        own = tmp_path / "configs"
        loader = command.config_loader(own)
        if way == "sweep":
            (student,) = make_plan(["paper=mine", given, *common], loader).runs
        else:
            student = claims.load("mine", loader, common=common, own=own).baselines[0].runs[0]
    (teacher,) = student.prerequisites
    assert teacher.config["choices"]["model"] == "linear" and teacher.config["seed"] == seed
    assert (teacher.config["budget"]["steps"], teacher.config["budget"]["epochs"]) == (5, None)
    assert teacher.config["batch_size"] == 64


def test_one_key_of_how_a_teacher_is_trained_leaves_the_others(tmp_path):
    student = prepared(tmp_path, *STUDENT, LINEAR, "task.teacher.train.model=mlp")
    (teacher,) = student.prerequisites
    assert teacher.config["choices"]["model"] == "mlp"
    assert teacher.config["budget"]["steps"] == 5


def test_other_mappings_of_a_task_are_merged_as_hydra_does():
    kept = ["task.weights={a:1}", "task.trained={a:1}", "task.teacher=outputs/x", "loss.train={a:1}", "~task.teacher"]
    assert replacing(kept) == kept
    several = "task.members=[{train:{model:mlp}},{train:{model:linear}}]"
    assert replacing([several, "seed=1"]) == ["task.members=null", several, "seed=1"]


def test_a_model_to_start_from_is_of_the_same_kind(tmp_path):
    """Of a preference task the reference: model and head are the policy's, unless the reference says otherwise."""
    common = ("dataset=bradley_terry", "model.depth=1", "model.width=16", "model.heads=1", "head=cosine_classifier")
    policy = prepared(tmp_path, *common, "dataset.num_examples=50", "head.scale=7", "model.mlp_ratio=2")
    (reference,) = policy.prerequisites
    assert reference.config["choices"]["task"] == "language_modeling"  # as the task has it
    for group in ("model", "head"):
        assert reference.config[group] == policy.config[group]
        assert reference.config["choices"][group] == policy.config["choices"][group]
    train = "{task:language_modeling,variant:[completions],loss:cross_entropy,model:gpt,model.depth:3,head:own}"
    (other,) = prepared(tmp_path, *common, f"task.reference={{train:{train}}}").prerequisites
    assert other.config["model"]["depth"] == 3 and other.config["model"]["width"] == 128
    assert other.config["choices"]["head"] == "own"
    # A teacher is a model of its own.
    (teacher,) = prepared(tmp_path, *STUDENT, "model=linear", "task.teacher={train:{budget.steps:5}}").prerequisites
    assert teacher.config["choices"]["model"] == "mlp"


@pytest.mark.parametrize("name", sorted(tasks()))
def test_models_of_the_same_kind_are_keywords_of_the_task(name):
    task = tasks()[name]
    assert set(getattr(task, "same_model", ())) <= {
        key for key, parameter in contract.signature(task).items() if contract.is_model(parameter.annotation)
    }


def test_a_sweep_trains_a_shared_teacher_once(tmp_path, capsys):
    arguments = [*STUDENT, LINEAR.replace("{model:linear,", "{model:linear,seed:0,"), "seed=0,1,2,3"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "-m", *arguments, f"outputs={tmp_path}", "hydra.launcher.slots=2"])
    assert ended.value.code == 0, capsys.readouterr()
    models = [record["choices"]["model"] for record in records(tmp_path)]
    assert sorted(models) == ["linear", "mlp", "mlp", "mlp", "mlp"]
    assert all(record["status"] == "completed" for record in records(tmp_path))


def test_the_vectorized_launcher_trains_them_too(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "-m", *STUDENT, LINEAR.replace("{model:linear,", "{model:linear,seed:0,"), "seed=0,1",
                  "hydra/launcher=vectorized", f"outputs={tmp_path}"])  # fmt: skip
    assert ended.value.code == 0, capsys.readouterr()
    assert sorted(record["choices"]["model"] for record in records(tmp_path)) == ["linear", "mlp", "mlp"]


def test_a_teacher_that_diverges_fails_its_student(tmp_path):
    diverging = "task.teacher={train:{optimizer:sgd,optimizer.lr:1e30}}"
    student = prepared(tmp_path, *STUDENT, diverging)
    with pytest.raises(RunError, match="whose model is needed, diverged"):
        run.execute(student)
    assert student.record["status"] == "failed" and "diverged" in student.record["error"]["message"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{train:{model:linaer}}", "task.teacher.train: model=linaer: there is no such model, did you mean 'linear'?"),
        ("{train:{modle:linear}}", "task.teacher.train: "),
        ("{tain:{model:linear}}", "task.teacher.tain"),
        ("{seed_offset:1}", "task.teacher.train is missing"),
        ("{train:{model:linear},seed_offset:-1}", "task.teacher.seed_offset=-1 is not allowed; it must be"),
        ("{train:{optimizer.lr:-1}}", "task.teacher.train: optimizer.lr=-1 is not allowed"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_before_anything_is_written(value, words, tmp_path):
    with pytest.raises(UsageError) as error:
        prepared(tmp_path, *STUDENT, f"task.teacher={value}")
    assert words in str(error.value)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_repetitions_are_told_by_how_their_teachers_are_trained(tmp_path):
    """The teachers of two seeds are two runs; the students are repetitions of one setting all the same."""
    first, second = (prepared(tmp_path, *STUDENT, LINEAR, f"seed={seed}") for seed in (0, 1))
    other = prepared(tmp_path, *STUDENT, LINEAR.replace("5", "6"))
    assert first.prerequisites[0].run != second.prerequisites[0].run
    assert (
        preparing.without_seed(first.config)
        == preparing.without_seed(second.config)
        != preparing.without_seed(other.config)
    )
    configs = [{"config": each.config, "choices": each.config["choices"]} for each in (first, second)]
    assert comparing._config(configs[0]) == comparing._config(configs[1])
