"""Optimizers with the trainer: what it hands them, and runs that are stopped and go on with the same bits."""

from functools import partial

import pytest
import torch

from lossbench import checkpoint
from lossbench.trainer import Interrupted, Trainer
from tests.engine import STILL, identical, parts, trainer, weights

COMMON = ("budget.steps=7", "evaluation.steps=3", "batch_size=256", "model.widths=[8]")
TWO_BASES = "optimizer@optimizer.base=muon"


class TakesLoss(torch.optim.SGD):
    """Keeps the losses that it gets."""

    def step(self, loss):
        assert not loss.requires_grad and loss.ndim == 0
        self.seen = [*getattr(self, "seen", []), loss.item()]
        super().step()


@pytest.mark.parametrize("more", [(), ("accumulation=4",), ("clip_norm=0.01",)])
def test_loss_of_the_batch(more, tmp_path):
    """It is the mean over the batch that train/loss has, whatever becomes of the gradients."""
    rows: list = []
    made = parts(tmp_path, *COMMON, "evaluation.steps=1", *more)  # a row a step: train/loss is that of one batch
    optimizer = TakesLoss(made["model"].parameters(), lr=0.1)
    Trainer(run="test", folder=tmp_path, **{**made, **STILL, "optimizer": optimizer, "report": rows.append}).fit()
    assert len(optimizer.seen) == 7 and len(set(optimizer.seen)) == 7
    assert [row["train/loss"] for row in rows] == pytest.approx(optimizer.seen, rel=1e-6)


RESUMED = (
    ["optimizer=entropy_sgd", "optimizer.inner_steps=4"],
    ["optimizer=momo", "optimizer.estimate_lower_bound=true"],
    ["optimizer=momo_adam", "accumulation=2"],
    ["optimizer=induced_metric", "optimizer.variant=log"],
    ["optimizer=muon", "optimizer.base.weight_decay=0.1"],
    ["optimizer=cosmos", "optimizer.rank=3"],
    ["optimizer=lars"],
    ["optimizer=laprop"],
    ["optimizer=spectral_constraint", TWO_BASES],
    ["precision=fp16", "optimizer=momo"],
)


@pytest.mark.parametrize("overrides", RESUMED, ids=" ".join)
def test_resumed_run_is_bit_identical(overrides, tmp_path):
    reference = trainer(tmp_path, *COMMON, *overrides)
    expected = reference.fit()
    while True:
        resume = checkpoint.latest(tmp_path, "test", print)
        built = trainer(tmp_path, *COMMON, *overrides)
        built.stop = partial(lambda own: own.step % 3 == 0, built)
        try:
            outcome = built.fit(resume)
            break
        except Interrupted:
            pass
    assert built.resumed == 2
    assert identical(weights(built.model), weights(reference.model))
    assert outcome.final["train/loss"] == expected.final["train/loss"]
    start = trainer(tmp_path, *COMMON, *overrides)
    assert not identical(weights(start.model), weights(reference.model))


def test_a_schedule_reaches_what_is_within(tmp_path):
    built = trainer(tmp_path, *COMMON, "optimizer=spectral_constraint", TWO_BASES, "schedule=linear_decay")
    first = [group["lr"] for group in built.optimizer.param_groups]
    built.fit()
    inner = built.optimizer.base
    groups = [*inner.inner.param_groups, *inner.base.param_groups]
    assert len(groups) == 3 and all(g["lr"] < rate for g, rate in zip(groups, first, strict=True))
