"""What the task says of a source, against counts of the data and against the definitions."""

import math

import pytest
import torch

from lossbench import run
from lossbench.datasets.addition import addition
from lossbench.datasets.markov_source import markov_source
from lossbench.errors import UsageError
from lossbench.tasks.known_source import KnownSource
from tests.engine import prepared

CPU = torch.device("cpu")


def source(order):
    draw = torch.Generator().manual_seed(0)
    return markov_source(generator=draw, num_examples=20_000, block_length=8, num_symbols=3, order=order)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_source_is_what_the_data_were_drawn_from(order):  # share of each next token after each context
    dataset = source(order)
    x, targets, mask = dataset.train.inputs, dataset.train.labels["targets"], dataset.train.labels["mask"]
    p = KnownSource(dataset, CPU).source_log_p(x).exp()
    for context in ([0] * order, [1] * order, [2, 0, 1][:order]):
        there = torch.ones_like(mask)
        for lag in range(order):
            there &= torch.nn.functional.pad(x, (lag, 0), value=-1)[:, : x.shape[1]] == context[order - 1 - lag]
        there &= mask
        assert there.sum() > 300
        share = torch.bincount(targets[there], minlength=3) / there.sum()
        own = p[there]
        assert (own == own[0]).all() and (share - own[0]).abs().max() < 4 * math.sqrt(0.25 / there.sum())


def test_hand():  # the model says 1/2, 1/2, 0 and the source 1/2, 1/4, 1/4
    task = KnownSource(source(1), CPU)
    logits, log_s = torch.tensor([[[0.0, 0.0, -1e4]]]), torch.tensor([[[0.5, 0.25, 0.25]]]).log()
    assert task.reverse_nll(logits, log_s).item() == pytest.approx(1.5 * math.log(2))
    assert task.reverse_divergence(logits, log_s).item() == pytest.approx(0.5 * math.log(2))
    other = torch.tensor([[[math.log(2), 0.0, 0.0]]])
    assert task.forward_divergence(other, log_s).item() == pytest.approx(0, abs=1e-6)
    assert task.forward_divergence(torch.zeros(1, 1, 3), log_s).item() == pytest.approx(math.log(3) - 1.5 * math.log(2))


def test_refused():
    dataset = addition(generator=torch.Generator(), num_examples=100, digits=2)
    with pytest.raises(UsageError, match="task=known_source needs a source"):
        KnownSource(dataset, CPU)


def test_run(tmp_path):  # cross-entropy's divergence is the nll above the entropy, but for the noise of the targets
    options = ["dataset=markov_source", "task=known_source", "dataset.num_examples=2000", "dataset.block_length=32"]
    options += ["model.depth=1", "model.width=32", "budget.steps=150", "optimizer.lr=0.01", "batch_size=32"]
    best = run.execute(prepared(tmp_path, *options))["best"]
    assert 0 < best["test/forward_divergence"] < 0.1
    assert best["test/forward_divergence"] == pytest.approx(best["test/nll_above_entropy"], abs=0.04)
    assert best["test/reverse_nll"] > 0 and best["test/reverse_divergence"] > 0
