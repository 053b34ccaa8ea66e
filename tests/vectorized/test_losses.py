"""Stacks of every loss, of hyper-parameters and of optimizers against the same runs one by one."""

import itertools

import pytest

from lossbench.listing import compatible
from lossbench.vectorized.grouping import ELEMENTWISE
from tests.vectorized.support import (
    assert_stack_equals_singles,
    double,  # noqa: F401  (a fixture)
    variants,
)

RATES = {"sgd": (0.05, 0.01), "adamw": (0.01, 0.003), "lion": (0.001, 0.0003)}
DATA = {
    "digits": "classification",
    "wine": "classification",
    "digits_multilabel": "multilabel",
    "diabetes": "regression",
}


@pytest.mark.parametrize("dataset", DATA)
def test_every_loss(dataset, double, tmp_path):  # noqa: F811
    # One program of every loss of the task, three optimizers, two learning rates, two seeds. In float64, because single
    # precision lets Lion's sign and the step of Adam, which is nearly one, turn rounding into whole steps.
    losses = compatible(DATA[dataset])
    optimizers = list(RATES) if dataset in ("digits", "diabetes") else ["adamw"]
    runs = []
    for number, (loss, optimizer) in enumerate(itertools.product(losses, optimizers)):
        overrides = (f"dataset={dataset}", "batch_size=32", f"loss={loss}", f"optimizer={optimizer}")
        pairs = [(0, RATES[optimizer][0]), (1, RATES[optimizer][1])]
        pairs += [(1, RATES[optimizer][0]), (0, RATES[optimizer][1])] if number % 6 == 0 else []
        runs += variants(tmp_path, overrides, [{"seed": s, "optimizer.lr": r} for s, r in pairs])
    assert_stack_equals_singles(tmp_path, runs, 1e-8)


def test_single_precision(tmp_path):
    # As users run it: 22 combinations of loss and optimizer, two seeds, two learning rates. 1e-4 of a tensor's norm is
    # the rounding of 20 steps with some room; a learning rate that is wrong by one percent gives 1e-3 or more.
    left_out = ("virtual_adversarial",)  # a quotient of differences
    losses = [loss for loss in compatible("classification") if loss not in left_out]
    runs = []
    for loss, optimizer in [*itertools.product(losses, ("sgd", "adamw")), ("cross_entropy", "lion"), ("focal", "lion")]:
        grid = [{"seed": s, "optimizer.lr": r} for s, r in itertools.product((0, 1), RATES[optimizer])]
        runs += variants(tmp_path, ("evaluation.steps=20", f"loss={loss}", f"optimizer={optimizer}"), grid)
    assert len(runs) >= 4 * 20
    assert_stack_equals_singles(tmp_path, runs, 1e-4)


def test_hyperparameters(double, tmp_path):  # noqa: F811
    # Each of them differs between rows of one block or segment: as 0-d tensors, as stacked lists, as Python numbers.
    focal = ("loss=focal", "regularizer=[l2_norm,confidence_penalty]", "reduction=cvar")
    weights_of_classes = [[1.0] * 10, [0.5, *[1.5] * 9]]
    runs = variants(
        tmp_path,
        focal,
        [
            {"loss.gamma": 0.5, "reduction.fraction": 0.3},
            {"loss.gamma": 3, "reduction.fraction": 0.8},
            {"loss.alpha": weights_of_classes[0], "regularizer.l2_norm.weight": 0.1},
            {"loss.alpha": weights_of_classes[1], "regularizer.confidence_penalty.weight": 1.0},
            {"optimizer.weight_decay": 0.0, "optimizer.lr": 0.01},
            {"optimizer.weight_decay": 0.3, "optimizer.betas": [0.5, 0.9], "optimizer.eps": 1e-3},
            {"weight_decay_on_all": True, "optimizer.weight_decay": 0.3},
            {"schedule.warmup": 0.5, "schedule.decay": 0.1},
        ],
    )
    runs += variants(tmp_path, ("loss.smoothing=0.1",), [{}, {"loss.smoothing": 0.3}, {"loss.smoothing": None}])
    runs += variants(tmp_path, ("schedule=cosine", "optimizer=sgd"), [{"optimizer.momentum": 0.5}, {"seed": 3}])
    assert_stack_equals_singles(tmp_path, runs, 1e-7)  # fraction * n rounds; the rest is equal to 1e-12


@pytest.mark.parametrize("optimizer", sorted(ELEMENTWISE))
def test_optimizers(optimizer, double, tmp_path):  # noqa: F811
    # 50 steps; learning rate, weight decay and what else the optimizer has differ from row to row.
    name = optimizer.rpartition(".")[2].lower()
    others = {
        "sgd": [{"momentum": 0.0, "nesterov": False}, {"dampening": 0.5, "nesterov": False}],
        "adam": [{"amsgrad": True}, {"betas": [0.5, 0.9]}],
        "adamw": [{"amsgrad": True}, {"betas": [0.5, 0.9], "eps": 1e-3}],
        "lion": [{"betas": [0.5, 0.9]}],
        "rmsprop": [{"momentum": 0.9}, {"centered": True, "alpha": 0.5}],
    }
    grid = [{"lr": 0.01}, {"lr": 0.003}, {"lr": 0.003}, *others.get(name, [])]
    if name != "rprop":
        grid += [{"weight_decay": 0.1}]
    values = [{f"optimizer.{key}": value for key, value in each.items()} for each in grid]
    overrides = ("dataset=wine", "batch_size=32", "budget.steps=50", "evaluation.steps=50", f"optimizer={name}")
    runs = variants(tmp_path, overrides, [{"seed": i % 2, **each} for i, each in enumerate(values)])
    assert_stack_equals_singles(tmp_path, runs, 1e-9)
