"""Runs that need the models of other runs: these are trained first, once, and shared."""

import json

import pytest
import torch

from lossbench import cli, run
from lossbench.errors import RunError, UsageError
from lossbench.results import comparing
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
    frozen = run.build(student.config, torch.device("cpu"))["objective"].task._teacher
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
    assert run.without_seed(first.config) == run.without_seed(second.config) != run.without_seed(other.config)
    configs = [{"config": each.config, "choices": each.config["choices"]} for each in (first, second)]
    assert comparing._config(configs[0]) == comparing._config(configs[1])
