"""The orders that are drawn: permutations of the answer, with the frequencies of the chain rule over what is left."""

import itertools
import math

import pytest
import torch

from lossbench import run
from lossbench.datasets.key_symbols import key_symbols
from lossbench.datasets.reversal import reversal
from lossbench.errors import UsageError
from lossbench.tasks.set_generation import SetGeneration
from tests.engine import prepared
from tests.tasks.test_generation import OPTIONS


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def model(places, tokens):
    """A body that gives the last token as features, and a head with fixed scores after each token."""
    table = torch.randn(tokens, tokens, generator=generator(3))
    return (lambda x: x), (lambda x: table[x]), table


@pytest.mark.parametrize(("search", "progress"), [("model", 0.5), ("uniform", 0.5), ("model", 0.1)])
def test_orders(search, progress):
    dataset = key_symbols(generator=generator(), num_examples=60, length=6, num_keys=4)
    task = SetGeneration(dataset, torch.device("cpu"), search=search)
    lengths = dataset.train.labels["mask"].sum(1)
    row = int((lengths == 4).nonzero()[0])  # three elements and the end
    x, targets = (t[row : row + 1].expand(4000, -1) for t in (dataset.train.inputs, dataset.train.labels["targets"]))
    body, head, table = model(x.shape[1], dataset.num_outputs)
    found = task.ordered_targets(body, head, x, targets, task.order_noise(targets, generator()), torch.tensor(progress))
    assert torch.equal(found[:, :6], targets[:, :6]) and torch.equal(found[:, 9:], targets[:, 9:])
    elements, start = targets[0, 6:9].tolist(), int(x[0, 6])
    drawn = [tuple(order) for order in found[:, 6:9].tolist()]
    for order in itertools.permutations(elements):
        chance, before, left = 1.0, start, set(elements)
        for element in order:
            scores = {e: math.exp(table[before, e]) if search == "model" and progress > 0.2 else 1.0 for e in left}
            chance *= scores[element] / sum(scores.values())
            before, left = element, left - {element}
        assert drawn.count(order) / 4000 == pytest.approx(chance, abs=0.03)
    logits = task.ordered_logits(body, head, x, found)
    assert torch.equal(logits[:, 6], table[x[:, 6]]) and torch.equal(logits[:, 7:], table[found[:, 6:-1]])


def test_run(tmp_path):
    options = [*OPTIONS, "dataset.order=random", "task=set_generation", "loss=order_search"]
    assert run.execute(prepared(tmp_path, *options))["best"]["test/output_set_accuracy"] > 0.3


def test_refused():
    with pytest.raises(UsageError, match="dataset=key_symbols"):
        SetGeneration(reversal(generator=generator(), num_examples=50, length=5), torch.device("cpu"))
