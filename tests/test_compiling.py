"""Compiled runs: the results of the plain ones, one program a shape.

What traces and differentiates is the compiler's own; only the code generator is another one here, because C++ takes a
minute to compile. test_trainer.py has one run with it."""

import pytest
import torch
from torch._dynamo.utils import counters

from lossbench import building, compiling, preparing, run
from lossbench.results import record as records
from lossbench.vectorized import engine
from tests.engine import prepared
from tests.vectorized.support import variants

SMALL = ("budget.steps=12", "evaluation.steps=5", "checkpoint.seconds=null")
ENDS = (  # a model that has buffers, a learned parameter, memory, extra passes, two views, micro-batches, a closure
    ("model=convnet", "model.widths=[8,16]", "model.norm=batch"),
    ("loss=center", "regularizer=[l2_norm,confidence_penalty]"),
    ("loss=early_learning", "augmentation=[gaussian_noise]"),
    ("loss=virtual_adversarial",),
    ("task=contrastive", "loss=nt_xent", "loss.tile=128", "head=projector", "augmentation=[gaussian_noise]"),
    ("precision=bf16", "clip_norm=1.0", "reduction=cvar"),
    ("optimizer=sam", "augmentation=[mixup]"),
    ("accumulation=4",),
)


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("overrides", ENDS, ids=lambda o: "_".join(o))
def test_results_are_those_of_the_plain_run(overrides, tmp_path):
    plain, compiled = (prepared(tmp_path, *SMALL, *overrides, f"compile={flag}") for flag in ("false", "true"))
    assert plain.run != compiled.run
    for each in (plain, compiled):
        run.execute(each)
    assert counters["stats"]["unique_graphs"] >= 1 and not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] <= 2  # the program of a step; an evaluation compiles nothing
    same_results(compiled, plain)


def same_results(compiled: preparing.Prepared, plain: preparing.Prepared, tolerance: float = 1e-6) -> None:
    """As assert_same, of two runs whose configs differ in compile."""
    for ours, theirs in zip(records.rows(compiled.folder), records.rows(plain.folder), strict=True):
        assert ours.keys() == theirs.keys()
        for key in ours.keys() - {"seconds"}:
            assert ours[key] == pytest.approx(theirs[key], rel=tolerance, abs=tolerance, nan_ok=True), key
    weights = [building.load_model(each.folder).state_dict() for each in (compiled, plain)]
    for key in weights[0]:
        torch.testing.assert_close(weights[0][key], weights[1][key], rtol=tolerance, atol=tolerance)


def test_stacks(tmp_path):
    """A program for each loss of a stack, and the runs are those of plain stacks."""
    losses = ("early_learning", "center")
    plain, compiled = (
        [
            each
            for loss in losses
            for each in variants(
                tmp_path, (*SMALL, f"loss={loss}", f"compile={flag}"), [{"seed": 0}, {"seed": 1, "optimizer.lr": 0.01}]
            )
        ]
        for flag in ("false", "true")
    )
    assert engine.train(plain) == {} and engine.train(compiled) == {}
    assert not counters["graph_break"] and counters["stats"]["unique_graphs"] == len(losses)
    for ours, theirs in zip(compiled, plain, strict=True):
        same_results(ours, theirs, 1e-5)


def test_resumed(tmp_path):
    """A compiled run that is stopped goes on to the same end."""
    one, other = (prepared(tmp_path / name, *SMALL, "loss=early_learning", "compile=true") for name in "ab")
    run.execute(one)
    asked = iter([False] * 6 + [True])
    with pytest.raises(run.Interrupted):
        run.execute(other, stop=lambda: next(asked))
    torch._dynamo.reset()
    assert run.execute(other)["resumed"] == 1
    same_results(other, one, 0.0)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["true", "graphs"])
@pytest.mark.parametrize("overrides", ENDS, ids=lambda o: "_".join(o))
def test_on_a_gpu(overrides, mode, tmp_path, monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    monkeypatch.undo()
    plain, compiled = (
        prepared(tmp_path, *SMALL, *overrides, "device=cuda", f"compile={flag}") for flag in ("false", mode)
    )
    for each in (plain, compiled):
        run.execute(each)
    same_results(compiled, plain, 2e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["true", "graphs"])
def test_stacks_on_a_gpu(mode, tmp_path, monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    monkeypatch.undo()
    options = (*SMALL, "device=cuda", "loss=early_learning")
    plain, compiled = (
        variants(tmp_path, (*options, f"compile={flag}"), [{"seed": 0}, {"seed": 1}]) for flag in ("false", mode)
    )
    assert engine.train(plain) == {} and engine.train(compiled) == {}
    for ours, theirs in zip(compiled, plain, strict=True):
        same_results(ours, theirs, 2e-2)
