"""Mixes of the inputs of a batch: what is drawn, what follows from it, and what the engine makes of it."""

import torch

from lossbench import run
from lossbench.losses.classification.rank_mixup import rank_mixup
from tests.engine import parts, prepared, trainer

MIXED = ("task=mixed_classification", "loss=rank_mixup", "batch_size=16")


def drawn(tmp_path, *overrides):
    made = trainer(tmp_path, *MIXED, *overrides)
    batch = next(made.source.training())
    return made, made.objective.draw(dict(batch), made.generators)


def test_mixes(tmp_path):  # a loop over the pairs
    _, batch = drawn(tmp_path)
    partners, weights = batch["mixing_partners"], batch["mixing_weights"]
    assert batch["mixed_x"].shape == (16, 3, 1, 8, 8)
    for s in range(3):
        assert partners[:, s].sort().values.tolist() == list(range(16))  # every input is a partner once
        for i in range(16):
            j, w = partners[i, s], weights[i, s]
            torch.testing.assert_close(batch["mixed_x"][i, s], (1 - w) * batch["x"][i] + w * batch["x"][j])
            labels = (1 - w) * torch.eye(10)[batch["targets"][i]] + w * torch.eye(10)[batch["targets"][j]]
            torch.testing.assert_close(batch["mixing_coefficients"][i, s], labels.max())


def test_weights_are_beta(tmp_path):  # Beta(2, 2) has variance 1/20, Beta(0.5, 0.5) 1/8
    task = parts(tmp_path, *MIXED)["objective"].task
    for alpha, variance in ((2.0, 1 / 20), (0.5, 1 / 8)):
        task._alpha = alpha
        weights = task.mixing_weights(torch.zeros(5000, 1), torch.Generator().manual_seed(0))
        assert weights.shape == (5000, 3)
        assert abs(weights.mean() - 0.5) < 0.01 and abs(weights.var() - variance) < 0.003


def test_loss(tmp_path):  # the model on each mix by itself
    made, batch = drawn(tmp_path, "task.mixes=2")
    value = made._evaluate_objective(batch, 10).loss
    logits = made.model(batch["x"])
    mixed = torch.stack([made.model(batch["mixed_x"][:, s]) for s in range(2)], 1)
    terms = rank_mixup(logits, batch["targets"], mixed, batch["mixing_coefficients"])
    torch.testing.assert_close(value, sum(terms.values()).mean())


def test_micro_batches_see_the_same_mixes(tmp_path):
    whole, batch = drawn(tmp_path)
    loss = whole._gradients(dict(batch), 10)
    gradients = [p.grad.clone() for p in whole.parameters]
    whole.settings = type(whole.settings)(**{**vars(whole.settings), "accumulation": 4})
    torch.testing.assert_close(whole._gradients(dict(batch), 10), loss)
    for p, gradient in zip(whole.parameters, gradients, strict=True):
        torch.testing.assert_close(p.grad, gradient)


def test_run(tmp_path):
    record = run.execute(prepared(tmp_path, *MIXED, "budget.epochs=4"))
    assert record["best"]["test/accuracy"] > 0.8
