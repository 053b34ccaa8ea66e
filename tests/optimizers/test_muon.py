from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from lossbench.models.gpt import gpt
from lossbench.optimizers.groups import parameter_groups
from lossbench.optimizers.muon import Muon
from lossbench.optimizers.sam import SAM
from tests.optimizers.support import gradients, network, reference, train, weights


def iterate(matrix):
    """The quintic iteration of the docstring, in float64."""
    o = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        a = o @ o.T
        o = 3.4445 * o - 4.7750 * a @ o + 2.0315 * a @ a @ o
    return o


@pytest.mark.parametrize("scale, factor", [("match_rms_adamw", lambda m, n: 0.2 * max(m, n) ** 0.5),
                                           ("original", lambda m, n: max(1, m / n) ** 0.5)])  # fmt: skip
@pytest.mark.parametrize("nesterov", [True, False])
def test_oracle(scale, factor, nesterov):  # equations in float64, over 50 steps; torch iterates in bfloat16
    memory: dict = {}

    def update(theta, g, loss, step):
        for i, (w, d) in enumerate(zip(theta, g, strict=True)):
            if w.ndim == 2:
                b = 0.9 * (memory[i] if step > 1 else 0.0) + d
                memory[i] = b
                o = iterate(d + 0.9 * b if nesterov else b)
                w[...] = (1 - 0.002 * 0.5) * w - 0.002 * factor(*w.shape) * o
            else:
                w -= 0.002 * (d + 0.5 * w)

    model = network()
    options = {"momentum": 0.9, "nesterov": nesterov, "scale": scale, "weight_decay": 0.5}
    optimizer = Muon(model.parameters(), SGD, lr=0.002, **options)
    train(model, optimizer, range(50))
    expected, start = reference(update, 50), weights(network())
    assert (expected - start).abs().max() > 0.04
    assert (weights(model) - expected).norm() < 0.01 * (expected - start).norm()  # of the way, for the rounding
    for wrong in ({"nesterov": not nesterov}, {"momentum": 0.8}, {"weight_decay": 0.0}, {"ns_steps": 4}):
        other = network()
        train(other, Muon(other.parameters(), SGD, lr=0.002, **{**options, **wrong}), range(50))
        assert (weights(other) - expected).norm() > 0.02 * (expected - start).norm(), wrong  # it would be seen


def test_step_is_orthogonal():
    torch.manual_seed(0)
    w = torch.zeros(6, 4, requires_grad=True)
    left, _ = torch.linalg.qr(torch.randn(6, 4))
    right, _ = torch.linalg.qr(torch.randn(4, 4))
    w.grad = left * torch.tensor([4.0, 2.0, 1.0, 0.5]) @ right.T
    Muon([w], lr=1.0, scale="original", weight_decay=0.0).step()
    values = torch.linalg.svdvals(-w.data) / 1.5**0.5
    assert values.min() > 0.65 and values.max() < 1.25
    torch.testing.assert_close(-w.data / 1.5**0.5, left @ right.T, atol=0.35, rtol=0)  # and has its singular vectors


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 4), nn.LayerNorm(4), nn.Linear(4, 4))
        self.head = nn.Linear(4, 3)


def test_which_parameters_go_where():
    model = Net()
    for weight_decay in (0.1, 0.0):
        proxies = {"weight": torch.zeros(3, 4, requires_grad=True)}  # of the loss: no matrix of the model
        optimizer = Muon(parameter_groups(model, proxies, weight_decay=weight_decay), weight_decay=weight_decay)
        names = {id(p): name for name, p in model.named_parameters()}
        own = [names[id(p)] for group in optimizer.inner.param_groups for p in group["params"]]
        assert sorted(own) == ["body.2.weight", "body.4.weight"]
        others = [p for group in optimizer.base.param_groups for p in group["params"]]
        assert len(others) == len(list(model.parameters())) + 1 - 2
        decays = {
            names.get(id(p), "proxies"): group["weight_decay"]
            for group in optimizer.param_groups
            for p in group["params"]
        }
        expected = {name for name, p in model.named_parameters() if p.ndim >= 2}
        assert {name for name, decay in decays.items() if decay} == (expected if weight_decay else set())


@pytest.mark.parametrize("tied", [False, True])
def test_embeddings_and_head_of_a_language_model(tied):
    model = gpt(input_shape=(8,), num_outputs=11, width=8, depth=1, heads=2, tied=tied)
    optimizer = Muon(parameter_groups(model, weight_decay=0.1))
    own = {id(p) for group in optimizer.inner.param_groups for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in own}
    block = "body.blocks.0."
    assert names == {block + part + ".weight" for part in ("query_key_value", "projection", "expand", "contract")}


def test_all_or_nothing():  # one matrix; or none
    assert Muon([torch.zeros(2, 2, requires_grad=True)]).base is None
    bias = torch.zeros(2, requires_grad=True)
    optimizer = Muon([bias])
    assert optimizer.inner is None
    bias.grad = torch.ones(2)
    optimizer.step()
    assert bias.data.abs().min() > 0


def test_others_are_the_bases():  # the biases move as under AdamW alone, given the same gradients
    model = network()
    biases = [p for p in model.parameters() if p.ndim == 1]
    copies = [p.detach().clone().requires_grad_() for p in biases]
    optimizer = Muon(model.parameters(), AdamW, lr=0.01, weight_decay=0.2)
    theirs = AdamW(copies, lr=0.01, weight_decay=0.2)
    for step in range(20):
        for p, g in zip(model.parameters(), gradients(model, step), strict=True):
            p.grad = g
        for copy, p in zip(copies, biases, strict=True):
            copy.grad = p.grad.clone()
        optimizer.step()
        theirs.step()
    for copy, p in zip(copies, biases, strict=True):
        assert torch.equal(copy.data, p.data)


def test_schedule_reaches_both():
    model = network()
    before = weights(model)
    optimizer = Muon(model.parameters(), AdamW, lr=0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    train(model, optimizer, range(3))
    assert torch.equal(weights(model), before)


def test_as_the_base_of_another():  # SAM over Muon: the roles go through
    model = Net()
    optimizer = SAM(parameter_groups(model, weight_decay=0.1), partial(Muon, momentum=0.5), lr=0.01)
    assert len(optimizer.base.inner.param_groups[0]["params"]) == 2
