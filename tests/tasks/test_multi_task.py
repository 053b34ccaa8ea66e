"""Several tasks at once, as terms of the loss, and one model for all trade-offs between them."""

import pytest
import torch

from lossbench import building, run
from lossbench.errors import UsageError
from tests.engine import parts, prepared, trainer

DATA = ("dataset=overlaid_digits", "dataset.train_per_pair=10", "dataset.held_out_per_pair=3", "batch_size=50")
FRONT = (*DATA, "task=pareto_front", "head=own", "loss=trade_off_cross_entropy", "model=weight_simplex")


def batch_of(made):
    return dict(next(iter(made.source.training(0))))


def test_tasks_are_terms(tmp_path):
    one = prepared(tmp_path, *DATA, "budget.epochs=15")
    record = run.execute(one)
    best = record["best"]
    assert record["status"] == "completed" and best["test/accuracy"] > 0.6
    assert best["train/loss"] == pytest.approx(best["train/task0"] + best["train/task1"], rel=1e-5)
    assert best["test/accuracy"] == pytest.approx((best["test/task0_accuracy"] + best["test/task1_accuracy"]) / 2)


@pytest.mark.parametrize("name", ["upgrad", "mgda", "pcgrad", "conflict_free", "dual_projection", "mean_gradient"])
def test_aggregated(tmp_path, name):
    record = run.execute(prepared(tmp_path, *DATA, "budget.epochs=3", f"aggregation={name}"))
    assert record["status"] == "completed" and record["best"]["test/accuracy"] > 0.3


def test_one_head_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"head=task_heads with head\.num_tasks=2"):
        trainer(tmp_path, *DATA, "head=own").measure("validation")


def test_one_task_is_refused(tmp_path):
    with pytest.raises(UsageError, match="dataset=overlaid_digits"):
        parts(tmp_path, "task=multi_task", "loss=task_cross_entropy")


def test_model_is_told_the_trade_off(tmp_path):  # each of them, behind the same inputs, in its place
    made = trainer(tmp_path, *FRONT)
    task, x = made.objective.task, batch_of(made)["x"]
    trade_offs = torch.tensor([[0.25, 0.75], [1.0, 0.0]]).expand(50, -1, -1)
    logits = task.trade_off_logits(made.model, x, trade_offs)
    assert logits.shape == (50, 2, 2, 10)
    for v in range(2):
        expected = made.model(torch.cat([x.flatten(1), trade_offs[:, v]], 1))
        torch.testing.assert_close(logits[:, v], expected)


def test_dirichlet(tmp_path):  # sums to 1, the same for the batch, others in the next step, and spread as asked for
    for concentration, spread in ((1.0, 1 / 12), (10.0, 1 / 84)):  # variance of Beta(c, c): 1 / (4 (2 c + 1))
        made = trainer(tmp_path, *FRONT, "task.number=2000", f"task.concentration={concentration}")
        draws = [made.objective.draw(batch_of(made), made.generators)["trade_off_draws"] for _ in range(2)]
        first, second = (made.objective.task.trade_offs(d, 0.0) for d in draws)
        torch.testing.assert_close(first.sum(-1), torch.ones(50, 2000))
        assert torch.equal(first[0], first[-1]) and not torch.equal(first, second)
        assert first[0, :, 0].var().item() == pytest.approx(spread, rel=0.15)


def test_annealed(tmp_path):  # all in the middle, at sharpness * progress = 1 even, beyond it towards the corners
    made = trainer(tmp_path, *FRONT, "task.sampling=annealed", "task.number=3", "task.margin=0.1")
    assert made.objective.needs_progress
    draws = torch.ones(50, 3, 2)
    at = {progress: made.objective.task.trade_offs(draws, progress)[0, :, 0] for progress in (0.0, 0.2, 0.4)}
    torch.testing.assert_close(at[0.0], torch.tensor([0.5, 0.5, 0.5]))
    torch.testing.assert_close(at[0.2], torch.tensor([0.1, 0.5, 0.9]))
    torch.testing.assert_close(at[0.4], torch.tensor([0.01 / 0.82, 0.5, 0.81 / 0.82]))


def test_annealed_trade_offs_move_in_a_run(tmp_path):
    seen = []
    made = trainer(tmp_path, *FRONT, "task.sampling=annealed", "budget.steps=4", "evaluation.steps=4")
    task, own = made.objective.task, made.objective.task.trade_offs
    step = next(s for s in made.objective.plan if s.name == "trade_offs")
    watched = step._replace(method=lambda draws, progress: seen.append(float(progress)) or own(draws, progress))
    made.objective.plan[made.objective.plan.index(step)] = watched
    assert task is made.objective.task
    made.fit()
    assert seen == [0.0, 0.25, 0.5, 0.75]


def test_front(tmp_path):  # a run, and its front by hand from the kept weights
    one = prepared(tmp_path, *FRONT, "budget.epochs=20", "task.points=4")
    best = run.execute(one)["best"]
    assert best["test/hypervolume"] > 0.3
    model, source = building.load_model(one.folder), trainer(tmp_path, *FRONT).source
    test = source._keep("test")
    points = []
    for a in (0.0, 0.25, 0.5, 0.75, 1.0):
        told = torch.cat([test["x"].flatten(1), torch.tensor([[a, 1 - a]]).expand(len(test["x"]), 2)], 1)
        points.append((model(told).argmax(-1) == test["task_targets"]).double().mean(0).tolist())
    points.sort(reverse=True)  # by the first accuracy; then the area of the staircase
    area, height = 0.0, 0.0
    for width, high in points:
        if high > height:
            area, height = area + width * (high - height), high
    assert best["test/hypervolume"] == pytest.approx(area, abs=1e-6)


def test_annealed_wants_two(tmp_path):
    with pytest.raises(UsageError, match=r"task\.number >= 2"):
        parts(tmp_path, *FRONT, "task.sampling=annealed", "task.number=1")
