import inspect

import numpy as np
import pytest
import torch

from lossbench.optimizers.induced_metric import InducedMetric
from tests.optimizers.support import check_against, network, train, weights

OPTIONS = {"lr": 0.1, "momentum": 0.8, "xi": 0.7, "beta": 0.6, "beta_rms": 0.9}


@pytest.mark.parametrize("variant", ["sgd", "log", "rms"])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_oracle(variant, decay):  # the equations, over 50 steps
    memory: dict = {}

    def update(theta, g, loss, step):
        if step == 1:
            zero = [np.zeros_like(t) for t in theta]
            memory.update(m=zero, v=zero, q=0.0)
        memory["m"] = [0.8 * m + 0.2 * d for m, d in zip(memory["m"], g, strict=True)]
        memory["v"] = [0.9 * v + 0.1 * d * d for v, d in zip(memory["v"], g, strict=True)]
        scales = [np.ones_like(t) for t in theta]
        if variant == "rms":
            scales = [np.sqrt(v / (1 - 0.9**step)) + 1e-8 for v in memory["v"]]
        steepness = sum((d * d / scale).sum() for d, scale in zip(g, scales, strict=True))
        memory["q"] = 0.6 * memory["q"] + 0.4 * 0.7 * steepness
        q = memory["q"] / (1 - 0.6**step)
        length = loss / (loss**2 + q) if variant == "log" else 1 / (1 + q)
        for t, m, scale in zip(theta, memory["m"], scales, strict=True):
            t -= 0.1 * (m / (1 - 0.8**step) / scale * length + decay * t)

    check_against(lambda params: InducedMetric(params, **OPTIONS, weight_decay=decay, variant=variant), update)


def test_sherman_morrison():  # the step is that of the inverse metric: (I + xi g g^T)^-1 g
    g = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64)
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    x.grad = g.clone()
    InducedMetric([x], lr=1.0, xi=0.4).step(torch.tensor(1.0))
    metric = torch.eye(3, dtype=torch.float64) + 0.4 * torch.outer(g, g)
    torch.testing.assert_close(x.data, -torch.linalg.solve(metric, g))


def test_metric_of_the_logarithm():
    """(I + xi g g^T / loss^2)^-1 times the gradient g / loss of log(loss)."""
    g, loss = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64), 0.7
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    x.grad = g.clone()
    InducedMetric([x], lr=1.0, xi=0.4, variant="log").step(torch.tensor(loss, dtype=torch.float64))
    metric = torch.eye(3, dtype=torch.float64) + 0.4 * torch.outer(g, g) / loss**2
    torch.testing.assert_close(x.data, -torch.linalg.solve(metric, g / loss))


def test_limit_adam():  # xi = 0
    ours, theirs = network(), network()
    train(ours, InducedMetric(ours.parameters(), lr=0.01, xi=0.0, variant="rms"), range(50))
    train(theirs, torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.9, 0.99)), range(50))
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-9, atol=1e-11)


def test_one_norm_over_all_groups():
    one, two = network(), network()
    parameters = list(two.parameters())
    train(one, InducedMetric(one.parameters()), range(10))
    train(two, InducedMetric([{"params": parameters[:1]}, {"params": parameters[1:]}]), range(10))
    torch.testing.assert_close(weights(one), weights(two), rtol=1e-12, atol=1e-12)


def test_a_loss_of_0_moves_nothing():  # under log without xi: 0 / 0
    x = torch.ones(1, requires_grad=True)
    x.grad = torch.zeros(1)
    InducedMetric([x], xi=0.0, variant="log").step(torch.tensor(0.0))
    assert x.item() == 1.0


def test_loss_is_required():  # which is how the trainer sees that the optimizer wants it
    assert inspect.signature(InducedMetric.step).parameters["loss"].default is inspect.Parameter.empty
