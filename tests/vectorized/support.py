"""What the tests of stacks share: variants of a run, and the comparison of a stack with the same runs one by one."""

import copy
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench import building, checkpoint, preparing, run
from lossbench.preparing import Prepared
from lossbench.results import record as records
from lossbench.source import Source
from lossbench.vectorized import engine
from tests.engine import prepared

SHORT = ("batch_size=64", "budget.steps=20", "evaluation.steps=10", "checkpoint.seconds=null")
NOT_COMPARED = ("seconds",)


@functools.cache
def _composed(overrides: tuple[str, ...]) -> Prepared:
    return prepared(Path("unused"), *overrides)


def variant(outputs: Path, overrides: Sequence[str], values: Mapping[str, Any]) -> Prepared:
    """A run whose config is composed once, with other values ('optimizer.lr': 0.1) set on a copy."""
    config = copy.deepcopy(_composed((*SHORT, *overrides)).config)
    for key, value in {**values, "outputs": str(outputs)}.items():
        *path, last = key.split(".")
        node = config
        for part in path:
            node = node[part]
        assert key == "outputs" or last in node, key
        node[last] = value
    return preparing.prepare(config)


def variants(outputs: Path, overrides: Sequence[str], values: Iterable[Mapping[str, Any]]) -> list[Prepared]:
    return [variant(outputs, overrides, each) for each in values]


class Watcher(engine.Silent):
    """Fails where a run is sent away."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def alone(self, prepared: Prepared, reason: str) -> None:
        pytest.fail(f"{prepared.config['choices']} cannot be stacked: {reason}")

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def weights(found: Prepared) -> dict[str, Tensor]:
    return checkpoint.read(found.folder / building.WEIGHTS)["model"]


def one_by_one(runs: Iterable[Prepared], outputs: Path) -> list[Prepared]:
    """The same runs in another folder, trained by the ordinary engine."""
    again = [preparing.prepare({**each.config, "outputs": str(outputs)}) for each in runs]
    for each in again:
        run.execute(each)
    return again


def assert_same(stacked: Prepared, single: Prepared, rtol: float) -> None:
    """Equal status, steps and keys; weights within rtol of each tensor's norm; metrics within rtol and a hair."""
    assert stacked.run == single.run
    assert stacked.record is not None and single.record is not None
    name = " ".join(f"{key}={stacked.config['choices'][key]}" for key in ("loss", "optimizer", "schedule"))
    for key in ("status", "error", "steps", "epochs", "examples", "parameters", "choices", "seed", "environment"):
        assert stacked.record[key] == single.record[key], (name, key)
    assert stacked.record.keys() == single.record.keys()
    assert stacked.record["time"].keys() == single.record["time"].keys()
    ours, theirs = records.rows(stacked.folder), records.rows(single.folder)
    assert len(ours) == len(theirs)
    for row, wanted in zip(
        [*ours, stacked.record["best"], stacked.record["final"]],
        [*theirs, single.record["best"], single.record["final"]],
        strict=True,
    ):
        assert list(row) == list(wanted), name
        for key in set(row) - set(NOT_COMPARED):
            if wanted[key] is None:
                assert row[key] is None, (name, key)
            else:
                # Two neighbours in the ranking by confidence may change places within the rounding: a step of the AURC.
                hair = rtol if "aurc" in key else rtol / 10
                assert row[key] == pytest.approx(wanted[key], rel=rtol, abs=hair), (name, key)
    if single.record["status"] != "completed":
        return
    expected, found = weights(single), weights(stacked)
    assert list(expected) == list(found)
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype and found[key].shape == tensor.shape
        error = (found[key].double() - tensor.double()).norm() / tensor.double().norm().clamp(min=1e-12)
        assert error <= rtol, f"{name} seed={stacked.config['seed']}: {key} is off by {error:.1e} of its norm"


def assert_stack_equals_singles(tmp_path: Path, runs: Sequence[Prepared], rtol: float = 1e-4) -> None:
    assert engine.train(runs, Watcher()) == {}
    for stacked, single in zip(runs, one_by_one(runs, tmp_path / "singles"), strict=True):
        assert_same(stacked, single, rtol)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Everything in float64, where another order of additions shows in the 15th digit and a mistake in the first."""

    def standardise(self: Source, inputs: Tensor) -> Tensor:
        inputs = inputs.double() if self.mean is None else inputs.double() - self.mean
        return inputs if self.std is None else inputs / self.std

    monkeypatch.setattr(Source, "_standardise", standardise)
    # What is drawn in double precision is other data.
    monkeypatch.setattr(building, "DATASETS", {})
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
