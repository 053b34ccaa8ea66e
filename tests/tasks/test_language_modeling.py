"""The task: what it provides, what it refuses, and whole runs through the engine."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lossbench import run, seeds
from lossbench.datasets.addition import addition
from lossbench.datasets.digits import digits
from lossbench.datasets.markov_source import markov_source
from lossbench.datasets.shakespeare import shakespeare
from lossbench.errors import UsageError
from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.linear_cross_entropy import linear_cross_entropy
from lossbench.models.gpt import gpt
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.reductions.token_mean import token_mean
from lossbench.tasks.language_modeling import LanguageModeling
from lossbench.trainer import Interrupted
from lossbench.vectorized import engine
from tests.engine import prepared

CPU = torch.device("cpu")
SMALL = ("model.depth=1", "model.width=16", "model.heads=2")


def generator():
    return torch.Generator().manual_seed(0)


def sums(**options):
    return addition(generator=generator(), num_examples=100, digits=2, **options)


def batch(dataset, n=4):
    split = dataset.train
    return {"x": split.inputs[:n], **{k: v[:n] for k, v in split.labels.items()}, "ids": torch.arange(n)}


def model(dataset, **options):
    torch.manual_seed(0)
    sizes = {"depth": 1, "width": 16, "heads": 2, **options}
    return gpt(input_shape=dataset.input_shape, num_outputs=dataset.num_outputs, **sizes)


def observed(task, network, given):
    names = (
        "logits",
        "log_normalizer",
        "target_log_p",
        "confidence",
        "predicted",
        "predictive_entropy",
        "mask",
        "target_rank",
    )
    return Objective(linear_cross_entropy, task, mean, (), tuple(given)).observer(names)(network, given)


@pytest.mark.parametrize("softcap", [None, 2.0])
def test_words(softcap):  # from the definitions
    dataset = sums()
    task, made, given = LanguageModeling(dataset, CPU, softcap=softcap), model(dataset), batch(dataset)
    made.head.weight.data *= 30
    found = observed(task, Network.of(made), given)
    logits = made(given["x"])
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    p = F.softmax(logits, -1)
    for name, expected in {
        "logits": logits,
        "log_normalizer": logits.exp().sum(-1).log(),
        "target_log_p": -F.cross_entropy(logits.mT, given["targets"], reduction="none"),
        "confidence": p.max(-1).values,
        "predicted": p.argmax(-1),
        "target_rank": (p.argsort(-1, descending=True) == given["targets"].unsqueeze(-1)).long().argmax(-1),
        "predictive_entropy": torch.distributions.Categorical(p).entropy(),
    }.items():
        torch.testing.assert_close(found[name], expected, msg=lambda text, name=name: f"{name}: {text}")


def test_metrics_of_answers():  # top 5 of all that counts; the others are tested by themselves
    dataset = sums()
    task, mask = LanguageModeling(dataset, CPU), torch.tensor([[False, True, True, True]])
    zero, none = torch.zeros(1, 4), torch.zeros(1, 4, dtype=torch.bool)
    one, five = torch.ones(1, 4, dtype=torch.long), torch.full((1, 4), 5)
    given = (zero - math.log(2), zero + 0.5, none, zero, one, mask, five)
    found = task.metrics(*given, torch.tensor([[0, 4, 5, 0]]))
    assert found["top5_accuracy"].item() == pytest.approx(2 / 3)
    assert found["number_mae"].item() == 4 and found["pass_1"].item() == pytest.approx(1 / 8)
    assert "top5_accuracy" not in task.metrics(*given)
    assert "pass_1" not in LanguageModeling(shakespeare(generator=generator()), CPU).metrics(*given)


def test_mask_is_the_data_sets_or_true_everywhere():
    dataset = sums()
    task, given = LanguageModeling(dataset, CPU), batch(dataset)
    network = Network.of(model(dataset))
    assert torch.equal(observed(task, network, given)["mask"], given["mask"])
    del given["mask"]
    whole = observed(task, network, given)["mask"]
    assert whole.dtype == torch.bool and whole.shape == given["targets"].shape and whole.all()


@pytest.mark.parametrize("tied", [False, True])
def test_loss_without_logits_is_the_loss_of_the_logits(tied):
    dataset = sums()
    gradients = []
    for loss in (linear_cross_entropy, cross_entropy):
        made = model(dataset, tied=tied)
        objective = Objective(loss, LanguageModeling(dataset, CPU, softcap=5.0), token_mean, (), tuple(batch(dataset)))
        value = objective(Network.of(made), batch(dataset), {}, {}).loss
        gradients.append([value, *torch.autograd.grad(value, list(made.parameters()))])
    for own, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(own, expected)


def test_only_tokens_that_count_are_averaged():
    dataset = sums()
    given, made = batch(dataset), model(dataset)
    loss = Objective(linear_cross_entropy, LanguageModeling(dataset, CPU), mean, (), tuple(given))
    value = loss(Network.of(made), given, {}, {}).loss
    chosen = F.cross_entropy(made(given["x"])[given["mask"]], given["targets"][given["mask"]])
    torch.testing.assert_close(value, chosen)


def test_a_head_that_is_no_single_layer_is_refused():
    dataset = sums()
    made = model(dataset)
    made.head = nn.Linear(16, dataset.num_outputs)
    objective = Objective(linear_cross_entropy, LanguageModeling(dataset, CPU), mean, (), tuple(batch(dataset)))
    with pytest.raises(UsageError, match=r"head\.weight, head\.bias"):
        objective(Network.of(made), batch(dataset), {}, {})


def test_data_without_tokens_are_refused():
    with pytest.raises(UsageError, match=r"dataset=shakespeare"):
        LanguageModeling(digits(generator=generator()), CPU)


def test_run(tmp_path):  # a source whose entropy is known: the model comes near, and not below
    overrides = ["dataset=markov_source", "dataset.num_symbols=4", "dataset.concentration=0.3", "batch_size=32"]
    overrides += ["dataset.num_examples=2000", "dataset.block_length=16", "budget.epochs=4", "evaluation.epochs=2"]
    record = run.execute(prepared(tmp_path, *overrides, *SMALL, "optimizer.lr=0.01"))
    made = markov_source(generator=_split(), num_symbols=4, concentration=0.3, num_examples=2000, block_length=16)
    best = record["best"]
    assert record["status"] == "completed" and made.entropy_rate < 1.1 < math.log(4)
    assert best["test/nll_above_entropy"] == pytest.approx(best["test/nll"] - made.entropy_rate, abs=1e-5)
    assert -0.02 < best["test/nll_above_entropy"] < 0.05
    assert best["test/perplexity"] == pytest.approx(math.exp(best["test/nll"]))
    assert "test/bits_per_byte" not in best  # symbols have no bytes


def _split():
    return seeds.generator(0, "split")


def test_losses_agree_in_whole_runs(tmp_path):  # logits, features with the head's weight, in micro-batches
    options = ["dataset=shakespeare", "dataset.block_length=32", *SMALL, "batch_size=8", "budget.steps=5"]
    runs = {
        "cross_entropy": [],
        "linear_cross_entropy": ["loss=linear_cross_entropy"],
        "accumulation": ["accumulation=2", "reduction=token_mean"],
        "tied": ["model.tied=true"],
    }
    records = {name: run.execute(prepared(tmp_path, *options, *own)) for name, own in runs.items()}
    found = {name: record["best"]["test/nll"] for name, record in records.items()}
    assert found["linear_cross_entropy"] == pytest.approx(found["cross_entropy"], abs=1e-5)
    assert found["accumulation"] == pytest.approx(found["cross_entropy"], abs=1e-5)
    assert found["tied"] != found["cross_entropy"]
    best = records["cross_entropy"]["best"]
    assert best["test/bits_per_byte"] == pytest.approx(best["test/nll"] / math.log(2), abs=1e-6)  # a byte a token


def test_resumed_run_ends_with_the_same_bits(tmp_path):
    options = ["dataset=shakespeare", "dataset.block_length=32", *SMALL, "batch_size=8", "budget.steps=12"]
    options += ["evaluation.steps=6", "model.dropout=0.1", "checkpoint.seconds=0"]
    steps = iter(range(100))
    stopped = prepared(tmp_path / "stopped", *options)
    with pytest.raises(Interrupted):
        run.execute(stopped, stop=lambda: next(steps) == 4)
    again, whole = run.execute(stopped), run.execute(prepared(tmp_path / "whole", *options))
    assert again["resumed"] == 1 and whole["resumed"] == 0
    assert _numbers(again["best"]) == _numbers(whole["best"])


def _numbers(row):
    return {key: value for key, value in row.items() if key != "seconds"}


def test_stacked_runs_equal_single_ones(tmp_path):
    options = ["dataset=addition", "dataset.num_examples=200", *SMALL, "batch_size=4", "budget.steps=4"]
    variants = [["seed=0"], ["seed=1"], ["seed=1", "loss=linear_cross_entropy"], ["loss=focal"]]
    together = [prepared(tmp_path / "together", *options, *own) for own in variants]
    assert engine.train(together) == {}
    for own, stacked in zip(variants, together, strict=True):
        alone = run.execute(prepared(tmp_path / "alone", *options, *own))["best"]
        for name, value in stacked.record["best"].items():
            if value is None:  # a quarter of the places where nothing counts
                assert alone[name] is None
            elif name != "seconds":
                assert value == pytest.approx(alone[name], rel=1e-3, abs=1e-4), (own, name)
