import numpy as np
import pytest
import torch

from lossbench.optimizers.lion import Lion
from lossbench.optimizers.lion_k import LionK
from tests.optimizers.support import check_against, network, train, weights

DECAY = 0.3


def by_hand(gradient_of_kappa):
    """The equations of the paper, with one function for all parameters as a vector."""
    memory: list = []

    def update(theta, g, loss, step):
        if step == 1:
            memory[:] = [np.zeros_like(t) for t in theta]
        u = gradient_of_kappa([0.8 * m + 0.2 * d for m, d in zip(memory, g, strict=True)])
        for i, t in enumerate(theta):
            t -= 0.01 * (u[i] + DECAY * t)
            memory[i] = 0.95 * memory[i] + 0.05 * g[i]

    return update


def euclidean(u):
    length = np.sqrt(sum((v * v).sum() for v in u))
    return [v / length for v in u]


@pytest.mark.parametrize(
    "kappa, function",
    [
        ("l1", lambda u: [np.sign(v) for v in u]),
        ("l2", euclidean),
        ("half_squared_l2", lambda u: u),
        ("thresholded_l1", lambda u: [np.where(v > 0.02, 1.0, np.where(v < -0.02, -1.0, 0.0)) for v in u]),
    ],
)
def test_oracle(kappa, function):  # over 50 steps
    def build(params):
        threshold = 0.02 if kappa == "thresholded_l1" else 0.0
        return LionK(params, lr=0.01, betas=(0.8, 0.95), weight_decay=DECAY, kappa=kappa, threshold=threshold)

    check_against(build, by_hand(function))


def test_limit():  # the 1-norm is lion, to the bit
    ours, theirs = network(), network()
    train(ours, LionK(ours.parameters(), lr=0.01), range(30))
    train(theirs, Lion(theirs.parameters(), lr=0.01), range(30))
    assert torch.equal(weights(ours), weights(theirs))


def run_down(kappa, decay, start, target, steps=4000):
    """Where (x - target)^2 / 2 leads from start, with a falling learning rate."""
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = LionK([x], lr=0.02, weight_decay=decay, kappa=kappa)
    largest = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / steps)
        x.grad = (x - torch.tensor(target, dtype=torch.float64)).detach()
        optimizer.step()
        largest.append(x.detach().abs().max().item())
    return x.detach(), largest


def test_box():  # of the 1-norm: the minimiser in |x_i| <= 1 / decay is each target, clipped; entered from outside
    x, largest = run_down("l1", 2.0, [3.0, 0.0, -3.0], [1.0, 0.2, -0.1])
    torch.testing.assert_close(x, torch.tensor([0.5, 0.2, -0.1], dtype=torch.float64), atol=2e-3, rtol=0)
    assert largest[0] > 2.5
    for step in range(100):  # what is outside shrinks at least by 1 - lr decay a step
        assert largest[step + 1] - 0.5 <= (1 - 0.0195 * 2) * (largest[step] - 0.5) + 1e-3


def test_ball():  # of the 2-norm: the target (3, 4) at distance 5, pulled to |x| = 1 / decay = 0.5
    x, _ = run_down("l2", 2.0, [0.0, 0.0], [3.0, 4.0])
    torch.testing.assert_close(x, torch.tensor([0.3, 0.4], dtype=torch.float64), atol=2e-3, rtol=0)


def test_one_norm_over_all_groups():
    one, two = network(), network()
    parameters = list(two.parameters())
    train(one, LionK(one.parameters(), lr=0.02, kappa="l2"), range(10))
    train(two, LionK([{"params": parameters[:1]}, {"params": parameters[1:]}], lr=0.02, kappa="l2"), range(10))
    torch.testing.assert_close(weights(one), weights(two), rtol=1e-12, atol=1e-12)


def test_gradient_of_0_moves_nothing():
    x = torch.ones(2, requires_grad=True)
    x.grad = torch.zeros(2)
    LionK([x], kappa="l2", weight_decay=0.0).step()
    assert torch.equal(x.data, torch.ones(2))
