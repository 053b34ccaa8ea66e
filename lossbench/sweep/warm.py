"""Imported once by the server that workers are forked from: torch, and the data of the plan, which workers then share.

CUDA must never be initialised here, and no thread pool started: neither survives a fork.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import contextlib
from pathlib import Path

import torch

import lossbench.metrics.classification
import lossbench.trainer  # noqa: F401
from lossbench.run import DATASETS, load_dataset
from lossbench.sweep.local import PLAN_VARIABLE

MOST_DATASETS = 4


def warm() -> None:
    from lossbench.sweep.plan import read

    torch.set_num_threads(1)
    path = os.environ.get(PLAN_VARIABLE)
    if path is None:
        return
    for prepared in read(Path(path)):
        if len(DATASETS) >= MOST_DATASETS:
            return
        with contextlib.suppress(Exception):  # the run that needs it will say what is wrong
            load_dataset(prepared.config)


warm()
