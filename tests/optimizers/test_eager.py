"""Optimizers without the compiler: the same weights bit for bit, and a run that never imports it."""

import subprocess
import sys

import pytest
import torch
from hydra.utils import instantiate
from torch.optim import SGD

from lossbench.optimizers.eager import plain_step
from lossbench.optimizers.groups import parameter_groups
from tests.optimizers.support import advance, loss, network, weights
from tests.optimizers.test_all_optimizers import NAMES, composed


def trained(make, plain):
    """The weights and the losses that the step returned, after 20 steps."""
    model = network()
    optimizer = make(parameter_groups(model, weight_decay=make.keywords.get("weight_decay")))
    step = plain_step(optimizer) if plain else optimizer.step
    returned = []
    for number in range(20):

        def closure(number=number):
            optimizer.zero_grad()
            value = loss(model, number)
            value.backward()
            return value

        returned.append(advance(optimizer, closure, step))
    return weights(model), returned


@pytest.mark.parametrize("name", NAMES)
def test_same_weights(name):
    make = instantiate(composed(name), _convert_="all")
    (plain, losses), (whole, expected) = trained(make, True), trained(make, False)
    assert torch.equal(plain, whole) and losses == expected
    assert not torch.equal(plain, weights(network()))


def test_no_graph_behind_the_weights():  # gradients are off within the step, and as they were after it
    model = network()
    step = plain_step(SGD(model.parameters(), lr=0.1, momentum=0.9))
    loss(model, 0).backward()
    step()
    assert torch.is_grad_enabled()
    assert all(p.grad_fn is None and p.is_leaf for p in model.parameters())


def test_differentiable_keeps_its_graph():  # there the wrapper has an effect, and stays
    optimizer = SGD([torch.ones(2, requires_grad=True).clone()], lr=0.1, differentiable=True)
    assert plain_step(optimizer) == optimizer.step


STARTED = """
import sys
from lossbench import cli
try:
    cli.main(["train", "budget.steps=3", "model.widths=[4]", "optimizer={name}", "checkpoint.seconds=0", *sys.argv[1:]])
except SystemExit as end:
    assert not end.code, end.code
print(sorted({{"torch._dynamo", "torch._inductor", "sympy", "sklearn", "wandb", "scipy", "pandas", "matplotlib",
              "torchvision", "datasets", "pyarrow"}} & set(sys.modules)))
"""


@pytest.mark.parametrize("name", ["adamw", "lion"])
def test_a_run_imports_no_compiler(name, tmp_path):  # checkpoints, which ask the optimizer for its state, included
    command = [sys.executable, "-c", STARTED.format(name=name), f"outputs={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
