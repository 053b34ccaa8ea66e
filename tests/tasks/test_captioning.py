"""The metrics of captions by hand, and a whole run."""

import torch

from lossbench import run
from lossbench.tasks.captioning import caption_metrics
from tests.engine import prepared
from tests.losses.support import near


def test_hand():  # objects (0, 2), (0, 3), (1, 3)
    objects = torch.tensor([[0, 2], [0, 3], [1, 3]])
    # "0" fits two objects; "0 3" is the second alone; "2 3 2", two errors of three, fits nobody better than the others
    captions = torch.tensor([[0, 3, 3], [0, 3, 2], [2, 3, 2]])
    found = caption_metrics(captions, torch.tensor([1, 2, 3]), objects, 5)
    near(found["caption_length"], 2.0)
    near(found["caption_details"], (1 + 2 + 1) / 3)
    near(found["caption_errors"], 2 / 3)
    near(found["self_retrieval"], (1 / 2 + 1 + 1 / 3) / 3)


def test_saying_nothing_is_a_guess():
    objects = torch.tensor([[0, 2], [0, 3], [1, 3], [1, 2]])
    near(caption_metrics(objects, torch.zeros(4, dtype=torch.long), objects, 5)["self_retrieval"], 1 / 4)
    near(caption_metrics(objects, torch.full((4,), 2), objects, 5)["self_retrieval"], 1.0)


def test_run(tmp_path):
    options = ["dataset=captions", "dataset.mention_rate=1", "model.depth=1", "model.width=32", "model.heads=2"]
    options += ["dataset.num_attributes=3", "dataset.num_values=8", "dataset.num_examples=500"]
    options += ["budget.epochs=30", "evaluation.epochs=30", "optimizer.lr=0.01", "batch_size=32"]
    best = run.execute(prepared(tmp_path, *options))["best"]
    assert 2.9 < best["test/caption_length"] <= 3 and best["test/caption_errors"] < 0.1
    assert best["test/self_retrieval"] > 0.9
