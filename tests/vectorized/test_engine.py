"""A stack of runs leaves behind what the same runs leave one by one."""

import itertools
import math

import pytest

from lossbench import run
from lossbench.locations import config_files
from lossbench.objective import missing
from lossbench.results import record as records
from lossbench.run import default_metric
from lossbench.tasks import tasks
from lossbench.trainer import Interrupted
from lossbench.vectorized import engine
from lossbench.vectorized.grouping import ELEMENTWISE
from tests.vectorized.support import (
    Watcher,
    assert_same,
    assert_stack_equals_singles,
    double,  # noqa: F401  (a fixture)
    one_by_one,
    variant,
    variants,
    weights,
)

RATES = {"sgd": (0.05, 0.01), "adamw": (0.01, 0.003), "lion": (0.001, 0.0003)}
DATA = {
    "digits": "classification",
    "wine": "classification",
    "digits_multilabel": "multilabel",
    "diabetes": "regression",
}


def hosted(task: str) -> list[str]:
    """Every loss that the task can host, found in the folders."""
    from hydra.utils import get_object
    from omegaconf import OmegaConf

    names = []
    for name, path in config_files("loss").items():
        function = get_object(OmegaConf.load(path)["_target_"])
        if not missing(function, tasks()[task]):
            names.append(name)
    return sorted(names)


@pytest.mark.parametrize("dataset", DATA)
def test_every_loss(dataset, double, tmp_path):  # noqa: F811
    # One program of all losses, optimizers, learning rates and seeds. 1e-4: rounding in float32, which Adam's and
    # Lion's division by the size of the gradient amplifies over 20 steps; a mistake is larger by orders.
    losses = hosted(DATA[dataset])
    optimizers = list(RATES) if dataset in ("digits", "diabetes") else ["adamw"]
    runs = []
    for number, (loss, optimizer) in enumerate(itertools.product(losses, optimizers)):
        overrides = (f"dataset={dataset}", "batch_size=32", f"loss={loss}", f"optimizer={optimizer}")
        pairs = [(0, RATES[optimizer][0]), (1, RATES[optimizer][1])]
        pairs += [(1, RATES[optimizer][0]), (0, RATES[optimizer][1])] if number % 6 == 0 else []
        runs += variants(tmp_path, overrides, [{"seed": s, "optimizer.lr": r} for s, r in pairs])
    assert_stack_equals_singles(tmp_path, runs, 1e-8)
