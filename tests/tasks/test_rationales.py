import pytest
import torch
from sklearn.metrics import average_precision_score

from lossbench import building, run
from tests.engine import prepared, trainer

CHOICES = ("dataset=key_words", "loss=rationale_contrastive", "batch_size=50")


def test_random_rationales(tmp_path):  # as many words as the rationale, all of them in the text, of all of its words
    made = trainer(tmp_path, *CHOICES, "task.negatives=200")
    batch = made.objective.draw(dict(next(iter(made.source.training(0)))), made.generators)
    drawn = batch["negative_rationales"]
    assert drawn.shape == (50, 200, 200) and (drawn.sum(-1) == 2).all()
    assert not drawn[(batch["x"] == 0).unsqueeze(1).expand_as(drawn)].any()
    shares = drawn.mean(1) / (2 / batch["x"].sum(1, keepdim=True))
    assert torch.equal(drawn.amax(1), batch["x"]) and 0.9 < shares[batch["x"] > 0].mean() < 1.1


def test_logits_of_rationales(tmp_path):
    made = trainer(tmp_path, *CHOICES)
    batch = made.objective.draw(dict(next(iter(made.source.training(0)))), made.generators)
    task, x = made.objective.task, batch["x"]
    found = task.negative_rationale_logits(made.model, x, batch["negative_rationales"])
    for s in range(5):
        torch.testing.assert_close(found[:, s], made.model(x * batch["negative_rationales"][:, s]))
    own = task.rationale_logits(made.model, x, batch["rationales"])
    torch.testing.assert_close(own, made.model(x * batch["rationales"]))


def test_plausibility(
    tmp_path,
):  # attributions of a linear model are its weights; scikit-learn, text by text
    one = prepared(tmp_path, *CHOICES, "budget.epochs=5", "optimizer.lr=0.01", "dataset.num_examples=200")
    best = run.execute(one)["best"]
    weight = building.load_model(one.folder).head.weight.detach()
    test = trainer(tmp_path, *CHOICES, "dataset.num_examples=200").source.splits["test"]
    scores = []
    for x, y, rationale in zip(test.inputs, test.labels["targets"], test.labels["rationales"], strict=True):
        there = x > 0
        scores.append(average_precision_score(rationale[there], weight[y][there].clamp(min=0)))
    assert best["test/plausibility"] == pytest.approx(sum(scores) / len(scores), abs=1e-4)
    assert 0.2 < best["test/plausibility"] < 1
