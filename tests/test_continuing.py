"""Going on from a checkpoint that another run has kept: the same run as from the beginning, bit for bit."""

import json

import pytest
import torch

from lossbench import building, checkpoint, preparing, run
from lossbench.errors import UsageError
from tests.engine import prepared

STABLE = ("schedule.warmup=3", "schedule.decay=0", "budget.steps=40", "evaluation.steps=5")
KEEP = "checkpoint.keep=[10,20,30]"
NOT_COMPARED = ("seconds",)


def decayed(outputs, steps: int, *more: str) -> preparing.Prepared:
    return prepared(
        outputs, "schedule.warmup=3", "schedule.decay=10", f"budget.steps={steps}", "evaluation.steps=5", *more
    )


def rows(ready: preparing.Prepared) -> list[dict]:
    lines = (ready.folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in NOT_COMPARED} for line in lines]


def weights(ready: preparing.Prepared) -> dict:
    return checkpoint.read(ready.folder / building.WEIGHTS)["model"]


@pytest.fixture(scope="module")
def stable(tmp_path_factory) -> preparing.Prepared:
    outputs = tmp_path_factory.mktemp("stable")
    ready = prepared(outputs, *STABLE, KEEP, "loss=early_learning")  # with memory of each example
    run.execute(ready)
    assert [path.name for path in checkpoint.kept(ready.folder)] == [f"kept-{s:09d}.pt" for s in (10, 20, 30)]
    return ready


@pytest.mark.parametrize("steps", [20, 30, 40])
def test_one_stable_run_decayed_at_three_lengths_is_three_runs(steps, tmp_path, stable):
    alone = decayed(tmp_path / "alone", steps, "loss=early_learning")
    continued = decayed(tmp_path / "continued", steps, "loss=early_learning", f"continue_from={stable.folder}")
    assert alone.run == continued.run  # it is the same run, however it is come by
    first, second = run.execute(alone), run.execute(continued)
    assert rows(alone) == rows(continued) and len(rows(alone)) == steps // 5 + 1
    assert all(torch.equal(value, weights(alone)[name]) for name, value in weights(continued).items())
    assert {**first["best"], "seconds": 0} == {**second["best"], "seconds": 0}
    assert second["resumed"] == 0 and second["steps"] == steps


def test_the_part_that_is_shared_is_not_trained_again(tmp_path, stable, monkeypatch):
    from lossbench.trainer import Trainer

    steps: list[int] = []
    step = Trainer._train_step
    monkeypatch.setattr(Trainer, "_train_step", lambda self, *rest: steps.append(self.step) or step(self, *rest))
    run.execute(decayed(tmp_path, 30, "loss=early_learning", f"continue_from={stable.folder}"))
    assert steps == list(range(20, 30))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["optimizer.lr=0.5"], "that run differs in optimizer, so that its weights are not those"),
        (["seed=1", "batch_size=32"], "differs in batch_size, seed,"),
        (["schedule.warmup=4"], "agree up to step 0, and the checkpoints kept there are of steps: 10, 20, 30. Train"),
        (["schedule.decay=25"], "the schedules agree up to step 6,"),
        (["budget.steps=null", "budget.seconds=1"], "a budget in seconds has no steps to compare"),
    ],
)  # fmt: skip
def test_another_run_is_refused(overrides, words, tmp_path, stable):
    with pytest.raises(UsageError, match=words):
        run.execute(decayed(tmp_path, 30, "loss=early_learning", f"continue_from={stable.folder}", *overrides))
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_what_is_no_run_is_refused(tmp_path, stable):
    with pytest.raises(UsageError, match=r"continue_from=.*nowhere is not the folder of a run"):
        run.execute(decayed(tmp_path, 30, f"continue_from={tmp_path / 'nowhere'}"))
    import shutil

    place = tmp_path / "damaged"
    shutil.copytree(stable.folder, place)
    path = checkpoint.kept(place)[1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match=r"SHA-256 does not fit\. Train that run again"):
        run.execute(decayed(tmp_path / "own", 30, "loss=early_learning", f"continue_from={place}"))
