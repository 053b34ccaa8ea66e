"""What the task takes from the model, its metrics, and that the regularizer reaches the heads."""

import math

import torch

from lossbench import run
from lossbench.datasets.shakespeare import shakespeare
from lossbench.models.softmax_gpt import softmax_gpt
from lossbench.tasks.attention_modeling import AttentionModeling
from tests.engine import prepared
from tests.losses.support import near


def test_parts():
    dataset = shakespeare(generator=torch.Generator(), block_length=8)
    task = AttentionModeling(dataset, torch.device("cpu"), heads=2)
    model = softmax_gpt(input_shape=(8,), num_outputs=256, depth=3, width=12, heads=2)
    x = dataset.train.inputs[:4]
    both = task.with_entropies(model.body, x)
    head_weight = task.head_weight(dict(model.named_parameters()))
    near(model.head(task.features(both, head_weight)), model(x).detach())
    entropies = task.head_entropies(both, head_weight)
    assert entropies.shape == (4, 8, 3, 2)
    near(entropies[..., 1, 0], both[..., 12 + 2].detach())


def test_metrics():  # T = 4: entropies of four heads are 1, 0.8, 0.5 and 0.1 of log 4
    dataset = shakespeare(generator=torch.Generator(), block_length=4)
    task = AttentionModeling(dataset, torch.device("cpu"), heads=2)
    zero, true = torch.zeros(2, 4), torch.ones(2, 4, dtype=torch.bool)
    parts = torch.tensor([[1.0, 0.8], [0.5, 0.1]]) * math.log(4)
    spread = torch.tensor([0.5, 1.5]).view(2, 1, 1, 1)  # the mean counts
    found = task.metrics(zero, zero, true, zero, zero.long(), true, parts.expand(2, 4, 2, 2) * spread)
    near(found["head_entropy"], 0.6, 1e-6)
    near(found["overloaded_heads"], 0.5)
    near(found["collapsed_heads"], 0.25)


def test_run(tmp_path):  # with a large weight the heads keep to the middle, where the thresholds begin
    options = ["dataset=shakespeare", "dataset.block_length=16", "variant=[subset]", "variant.subset.number=256"]
    options += ["task=attention_modeling", "task.heads=2", "model=softmax_gpt", "model.depth=2", "model.width=16"]
    options += ["model.heads=2", "budget.epochs=3", "evaluation.epochs=3", "optimizer.lr=0.003", "batch_size=16"]
    own = ["regularizer=[head_entropy]", "regularizer.head_entropy.depth=2", "regularizer.head_entropy.heads=2"]
    own += ["regularizer.head_entropy.weight=100", "regularizer.head_entropy.tolerance=0"]
    plain, drawn = (run.execute(prepared(tmp_path, *options, *more))["best"] for more in ([], own))
    assert abs(drawn["test/head_entropy"] - 0.5) < 0.05 < abs(plain["test/head_entropy"] - 0.5)
