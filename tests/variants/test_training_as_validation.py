import torch

from lossbench import run
from lossbench.variants.training_as_validation import training_as_validation
from tests.engine import parts, prepared
from tests.variants.support import classification, generator


def test_is_the_training_split():
    dataset = classification([5, 3])
    made = training_as_validation(dataset, generator())
    assert made.validation is made.train is dataset.train and made.test is dataset.test
    assert dataset.validation is not dataset.train


def test_best_step_is_the_first_without_an_error(tmp_path):
    overrides = ("variant=[class_pair,training_as_validation]", "budget.steps=40", "evaluation.steps=1", "model=linear",
                 "optimizer=sgd", "optimizer.lr=0.02", "batch_size=214", "schedule=constant",
                 "variant.class_pair.first=1", "variant.class_pair.second=8")  # fmt: skip
    record = run.execute(prepared(tmp_path, *overrides))
    made = parts(tmp_path / "other", *overrides)
    model, optimizer = made["model"], made["optimizer"]
    accuracies = []
    for step, batch in enumerate(made["source"].training(0)):
        if step == 40:
            break
        x, y = batch["x"], batch["targets"]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        with torch.no_grad():
            accuracies.append((model(x).argmax(-1) == y).double().mean().item())
    assert len(y) == 214
    assert record["best"]["step"] == accuracies.index(max(accuracies)) + 1 > 1
