"""What a user gets wrong: one or two lines that name the key and what would be right, exit code 2, nothing written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lossbench import building, checkpoint, cli, run
from tests.engine import prepared

SHORT = ("budget.steps=20", "model.widths=[8]")


@pytest.fixture
def outputs(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return (ended.value.code, *capsys.readouterr())


def nothing_written(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


def refused(capsys, outputs: Path, *arguments: str) -> str:
    """The message of a usage error, after all that holds for every one of them."""
    code, out, err = call(capsys, "train", *arguments)
    assert code == 2, (code, out, err)
    assert "Traceback" not in err and err.startswith("lossbench: "), err
    assert len(err.splitlines()) <= 2, err
    assert "HYDRA_FULL_ERROR" not in err and "Config search path" not in err
    assert nothing_written(outputs), sorted(outputs.rglob("*"))
    return err


# --- names and keys ----------------------------------------------------------------------------------------------

MISSPELT = [
    (["loss=foca"], ["loss=foca", "'focal'"]),
    (["model=resnet81"], ["model=resnet81", "'resnet18'"]),
    (["dataset=cifar01"], ["dataset=cifar01", "'cifar10'"]),
    (["optimizer=adamww"], ["optimizer=adamww", "'adamw'"]),
    (["schedule=cosin"], ["schedule=cosin", "'cosine'"]),
    (["precision=bf61"], ["precision=bf61", "'bf16'"]),
    (["reduction=man"], ["reduction=man", "'mean'"]),
    (["recipe=gropo"], ["recipe=gropo", "'grpo'"]),
    (["advantage=leave_on_out"], ["advantage=leave_on_out", "'leave_one_out'"]),
    (["+reweighting.focal.gamma=1"], ["reweighting.focal is set", "reweighting=[focal]"]),
    (["-m", "seed=0,1", "+reweighting.focal.gamma=1"], ["reweighting.focal is set", "reweighting=[focal]"]),
    (["task=regresion"], ["task=regresion", "'regression'"]),
    (["variant=[long_taild]"], ["variant=long_taild", "'long_tailed'"]),
    (["augmentation=[flp]"], ["augmentation=flp", "'flip'"]),
    (["regularizer=[l2norm]"], ["regularizer=l2norm", "'l2_norm'"]),
    (["los=focal"], ["los:", "'loss'"]),
    (["optimiser=sgd"], ["optimiser:", "'optimizer'"]),
    (["batchsize=3"], ["batchsize:", "'batch_size'"]),
    (["loss=focal", "loss.gama=1"], ["loss.gama:", "'loss.gamma'"]),
    (["optimizer.learning_rat=1"], ["optimizer.learning_rat:"]),
    (["optimizer.lrr=1"], ["optimizer.lrr:", "'optimizer.lr'"]),
    (["budget.epoch=1"], ["budget.epoch:", "'budget.epochs'"]),
    (["+loss.smoothin=0.1"], ["loss.smoothin:", "'smoothing'"]),
    (["+optimizer.momentun=0.1", "optimizer=sgd"], ["optimizer.momentun:", "'momentum'"]),
    (["+loss.logits=1"], ["loss.logits:", "smoothing"]),
    (["+colour=red"], ["colour:"]),
    (["selection.metric=acuracy"], ["selection.metric=acuracy", "'accuracy'"]),
    (["loss=null"], ["group"]),
    (["~loss"], ["loss is missing"]),
    (["~seed"], ["seed is missing"]),
    (["~budget"], ["budget is missing"]),
    (["loss=focal,brier"], ["loss=focal,brier", "--multirun"]),
]


@pytest.mark.parametrize(("arguments", "words"), MISSPELT, ids=lambda v: " ".join(v))
def test_misspelt_names_and_keys(arguments, words, capsys, outputs):
    message = refused(capsys, outputs, *arguments)
    for word in words:
        assert word in message


# --- values ------------------------------------------------------------------------------------------------------

VALUES = [
    (["loss=focal", "loss.gamma=-1"], "loss.gamma=-1 is not allowed; it must be a number >= 0"),
    (["loss=focal", "loss.gamma=abc"], "loss.gamma=abc is not allowed"),
    (["loss=focal", "loss.gamma=null"], "loss.gamma=null is not allowed"),
    (["loss=focal", "loss.gamma=nan"], "loss.gamma=nan is not allowed"),
    (["loss=any_loss", "loss.metric=f1"], "loss.metric=f1 is not allowed; it must be one of: f_measure"),
    (["optimizer.lr=-0.1"], "optimizer.lr=-0.1 is not allowed"),
    (["optimizer.lr=abc"], "optimizer.lr=abc is not allowed"),
    (["optimizer.lr=inf"], "optimizer.lr=inf is not allowed"),
    (["optimizer.betas=[0.9]"], "optimizer.betas=[0.9] is not allowed"),
    (["optimizer=sgd", "optimizer.nesterov=true", "optimizer.momentum=0"], "optimizer.nesterov=true needs a momentum"),
    (["optimizer=sam", "optimizer.rho=-1"], "optimizer.rho=-1 is not allowed"),
    (["optimizer=sam", "optimizer.base.momentum=-1"], "momentum=-1 is not allowed"),
    (["schedule.warmup=2.5"], "schedule.warmup=2.5 is not allowed"),
    (["schedule.warmup=0.7", "schedule.decay=0.7"], "schedule.warmup=0.7 and schedule.decay=0.7"),
    (["schedule.shape=round"], "schedule.shape=round is not allowed; it must be one of"),
    (["model.dropout=1.5"], "model.dropout=1.5 is not allowed"),
    (["model.widths=[16,0]"], "model.widths=[16, 0] is not allowed"),
    (["model.activation=rellu"], "model.activation=rellu is not allowed; it must be one of: relu"),
    (["reduction=cvar", "reduction.fraction=0"], "reduction.fraction=0 is not allowed"),
    (["regularizer=[l2_norm]", "regularizer.l2_norm.weight=-1"], "regularizer.l2_norm.weight=-1 is not allowed"),
    (["augmentation=[mixup]", "augmentation.mixup.alpha=0"], "augmentation.mixup.alpha=0 is not allowed"),
    (["variant=[subset]", "variant.subset.fraction=2"], "variant.subset.fraction=2 is not allowed"),
    (["seed=-1"], "seed=-1 is not allowed; it must be a whole number >= 0"),
    (["seed=1.5"], "seed=1.5 is not allowed"),
    (["batch_size=0"], "batch_size=0 is not allowed"),
    (["batch_size=true"], "batch_size=True is not allowed"),
    (["threads=0"], "threads=0 is not allowed"),
    (["clip_norm=0"], "clip_norm=0 is not allowed"),
    (["ema=1"], "ema=1 is not allowed"),
    (["compile=maybe"], "compile=maybe is not allowed; it must be true or false or one of: graphs"),
    (["budget.steps=0"], "budget.steps=0 is not allowed"),
    (["budget.steps=5", "budget.seconds=5"], "budget: steps and seconds are both given"),
    (["budget.epochs=null"], "budget: nothing is given"),
    (["evaluation.epochs=null"], "evaluation: nothing is given"),
    (["evaluation.batch_size=null"], "evaluation.batch_size=null is not allowed"),
    (["selection.direction=up"], "selection.direction=up is not allowed; it must be one of: higher, lower"),
    (["checkpoint.seconds=-1"], "checkpoint.seconds=-1 is not allowed"),
    (["data.workers=-1"], "data.workers=-1 is not allowed"),
    (["batch_size=30", "accumulation=4"], "accumulation=4 does not divide batch_size=30"),
    (["batch_size=100000"], "batch_size=100000 is larger than the training set of"),
    (["variant=[subset]", "variant.subset.number=20", "batch_size=21"], "larger than the training set of 20 examples"),
    (["loss.class_weights=[1,2]"], "loss.class_weights has 2 entries, but the data set has 10 classes"),
    (["loss.class_weights=[a,b]"], "loss.class_weights=['a', 'b'] is not allowed; it must be a list of numbers"),
    (["precision=fp16", "optimizer=sam"], "precision: loss scaling does not go with SAM"),
    (["accumulation=2", "batch_size=32", "reduction=cvar"], "accumulation=2 does not go with reduction=cvar"),
    (["reduction=token_mean"], "reduction=token_mean: the loss gives values of shape"),
    (["augmentation=[mixup]", "loss=early_learning"], "augmentation: label mixing does not go with"),
    (["augmentation=[mixup,cutmix]"], "the labels are mixed already"),
    (["augmentation=[crop]", "augmentation.crop.padding=9"], "augmentation.crop.padding=9"),
    (["augmentation=[flip]", "dataset=wine", "batch_size=16"], "augmentation=flip: it needs images"),
    (["model=convnet", "dataset=wine"], "model=convnet reads images"),
]


@pytest.mark.parametrize(("arguments", "words"), VALUES, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_values_that_are_not_allowed(arguments, words, capsys, outputs):
    assert words in refused(capsys, outputs, *arguments)


# --- what the task cannot host -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["loss=distillation"], ["'distillation'", "'teacher_logits'", "task 'classification'", "task=distillation"]),
        (["loss=mean_squared_error"], ["'mean_squared_error'", "'predictions'", "task=regression"]),
        (["loss=brier", "dataset=diabetes", "task=regression"], ["'brier'", "'logits'", "'regression'"]),
        (["loss=cross_entropy", "dataset=digits_multilabel", "task=multilabel"], ["'cross_entropy'", "'targets'"]),
        (
            ["loss=mean_squared_error", "dataset=diabetes", "task=regression", "regularizer=[confidence_penalty]"],
            ["'confidence_penalty'", "'logits'"],
        ),
        (["task=regression", "loss=mean_squared_error"], ["'regression_targets'"]),  # of digits
        (["task=multilabel", "loss=binary_cross_entropy"], ["'labels'"]),
    ],
    ids=lambda v: " ".join(v),
)
def test_loss_that_the_task_cannot_host(arguments, words, capsys, outputs):
    message = refused(capsys, outputs, *arguments)
    for word in words:
        assert word in message, message


# --- data, devices, files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dataset=cifar10", "dataset.download=false"], ["dataset.root=", "cifar-10-batches-py", "LOSSBENCH_DATA"]),
        (["dataset=mnist", "dataset.root=/nowhere", "dataset.download=false"], ["/nowhere", "dataset.root"]),
        (["dataset=image_folder", "dataset.path=/nowhere"], ["dataset.path=/nowhere"]),
        (["dataset=image_folder"], ["dataset.path must be given"]),
        (["dataset=hf_image"], ["dataset.path must be given"]),
        (["task=distillation", "loss=distillation"], ["task.teacher must be given", "folder of a finished run"]),
    ],
    ids=lambda v: " ".join(v),
)
def test_missing_data(arguments, words, capsys, outputs):
    message = refused(capsys, outputs, *arguments)
    for word in words:
        assert word in message, message


def test_targets_beyond_the_classes(capsys, outputs, monkeypatch):
    """num_classes mismatch."""
    from lossbench.datasets import digits

    make = digits.digits

    def fewer(*, generator):
        made = make(generator=generator)
        made.num_outputs = 9
        return made

    monkeypatch.setattr(digits, "digits", fewer)
    monkeypatch.setattr(building, "DATASETS", {})
    message = refused(capsys, outputs, "seed=77")
    assert "targets reach from 0 to 9, but there are 9 classes" in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_that_is_not_there(name, capsys, outputs):
    message = refused(capsys, outputs, f"device={name}")
    assert f"device={name} was asked for" in message and "device=cpu" in message


def test_device_that_is_none(capsys, outputs):
    assert "device=gpu is not a device" in refused(capsys, outputs, "device=gpu")


@pytest.mark.parametrize("where", ["below a file", "/proc"])
def test_outputs_that_cannot_be_written(where, capsys, outputs, tmp_path):
    (tmp_path / "file").write_text("I am no folder")
    place = {"below a file": tmp_path / "file" / "outputs", "/proc": "/proc/lossbench"}[where]
    message = refused(capsys, outputs, f"outputs={place}", *SHORT)
    assert "cannot write to" in message and str(place) in message and "outputs=" in message
    assert (tmp_path / "file").read_text() == "I am no folder"


def test_checkpoint_of_another_config(capsys, outputs):
    """It stays as it is."""
    ready = prepared(outputs, *SHORT, "checkpoint.seconds=0")
    ready.folder.mkdir(parents=True)
    checkpoint.save(ready.folder, 3, {"run": "0123456789abcdef"})
    before = {path: path.read_bytes() for path in ready.folder.iterdir()}
    code, _, err = call(capsys, "train", f"outputs={outputs}", "batch_size=128", *SHORT, "checkpoint.seconds=0")
    assert code == 2 and "belongs to run 0123456789abcdef" in err and len(err.splitlines()) == 1
    assert {path: path.read_bytes() for path in ready.folder.iterdir()} == before


def test_failed_run_has_exit_code_1(capsys, outputs, monkeypatch):
    from lossbench.trainer import Trainer

    monkeypatch.setattr(Trainer, "_train_step", lambda *rest: [][0])
    code, _, err = call(capsys, "train", *SHORT)
    assert code == 1 and len(err.splitlines()) == 1 and "IndexError" in err


# --- commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["'trian'", "'train'"]),
        (["compare", "--outputs", "nowhere"], ["nowhere"]),
        (["collect", "--outputs", "nowhere"], ["nowhere", "lossbench train"]),
        (["list", "loses"], ["loses", "'losses'"]),
        (["list", "losses", "--task", "clasification"], ["'classification'"]),
        (["list", "losses", "--format", "tabel"], ["tabel", "'table'"]),
        (["show", "polylos"], ["polylos", "'polyloss'"]),
    ],
    ids=lambda v: " ".join(v),
)
def test_commands(arguments, words, capsys, outputs):
    code, out, err = call(capsys, *arguments)
    assert code == 2 and out == "" and len(err.splitlines()) <= 2 and "Traceback" not in err
    for word in words:
        assert word in err
    assert nothing_written(outputs)


# --- pipes and narrow alphabets ----------------------------------------------------------------------------------


def piped(outputs: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    environment = {
        **os.environ, "LOSSBENCH_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1", "COLUMNS": "40",
        "PYTHONPATH": str(Path(cli.__file__).parent.parent), **more,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "lossbench.cli", *arguments], env=environment, capture_output=True, timeout=120,
        cwd=outputs.parent,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Six runs to list, with brackets and other alphabets where a user may put them."""
    place = tmp_path_factory.mktemp("finished") / "[bold]ergébnisse"
    for loss in ("cross_entropy", "focal"):
        for seed in range(3):
            run.execute(prepared(place, f"loss={loss}", f"seed={seed}", *SHORT))
    return place


ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}


@pytest.mark.parametrize("arguments", [["list", "losses"], ["compare"], ["collect"], ["show", "focal"]], ids=" ".join)
def test_ascii_output_does_not_crash(arguments, finished):
    done = piped(finished, *arguments, **ASCII)
    assert done.returncode == 0, done.stderr.decode()
    done.stdout.decode("ascii")
    assert b"Traceback" not in done.stderr and len(done.stdout) > 100


def test_training_with_ascii_output(finished):
    """The folder has letters that ASCII has not."""
    again = piped(finished, "train", "batch_size=128", *SHORT, **ASCII)
    assert again.returncode == 0 and b"already completed" in again.stdout, again.stderr
    more = piped(finished, "train", "seed=9", "batch_size=128", *SHORT, **ASCII)
    assert more.returncode == 0 and b"completed: 20 steps" in more.stdout and b"[bold]" in more.stdout, more.stderr
    wrong = piped(finished, "train", "loss=föcal", **ASCII)
    assert wrong.returncode == 2 and b"Traceback" not in wrong.stderr


def test_tables_in_a_pipe_are_whole(capsys, finished):
    """On 40 columns nothing is cut, and what looks like markup stays."""
    code, out, _ = call(capsys, "collect", "--outputs", str(finished))
    assert code == 0
    assert "…" not in out and "cross_entropy" in out and "[bold]" in out
    header = next(line for line in out.splitlines() if "loss" in line)
    for column in ("dataset", "model", "loss", "optimizer", "schedule", "completed", "diverged", "failed"):
        assert column in header
    code, out, _ = call(capsys, "compare", "--outputs", str(finished), "--baseline", "cross_entropy")
    assert code == 0 and "focal" in out and "…" not in out
    code, out, _ = call(capsys, "compare", "--outputs", str(finished), "--format", "json")
    assert code == 0 and json.loads(out)
    code, out, _ = call(capsys, "list", "papers")
    assert code == 0 and "…" not in out


def test_output_of_training_in_a_pipe(finished):
    """Plain lines: no control characters, no bar, the metrics whole."""
    done = piped(finished, "train", "seed=11", "batch_size=128", *SHORT)
    text = done.stdout.decode()
    assert done.returncode == 0 and "\x1b" not in text and "\r" not in text
    for metric in ("test/accuracy", "test/nll", "test/auroc", "test/worst_class_accuracy"):
        assert metric in text


def test_reader_that_goes_away_is_no_error(finished):
    command = f"{sys.executable} -m lossbench.cli list papers | head -n 1; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "0" and done.stderr == ""
