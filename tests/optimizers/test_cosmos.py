import numpy as np
import pytest
import torch
from torch.optim import SGD

from lossbench.optimizers.cosmos import COSMOS, orthogonal
from tests.optimizers.support import check_against
from tests.optimizers.test_muon import iterate


def sized(matrix):
    return matrix * np.sqrt(matrix.size) / np.linalg.norm(matrix)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_oracle(rank, decay):
    """The equations, over 50 steps. Decompositions are numpy's: signs of columns do not matter."""
    memory: dict = {}
    beta1, beta2 = 0.8, 0.9

    def update(theta, g, loss, step):
        for i, (w, d) in enumerate(zip(theta, g, strict=True)):
            if w.ndim == 1:
                w -= 0.01 * (d + decay * w)
                continue
            own = memory.setdefault(i, {})
            if step == 1:
                u = np.linalg.svd(d, full_matrices=False)[2][:rank].T
                own.update(M=np.zeros_like(w), V=np.zeros((len(w), rank)), S=(1 - beta2) * (d @ u).T @ (d @ u))
            else:
                old = own["U"]
                u = np.linalg.qr(beta2 * old @ own["S"] + (1 - beta2) * d.T @ d @ old)[0]
                turn = old.T @ u
                own["S"] = beta2 * turn.T @ own["S"] @ turn + (1 - beta2) * (d @ u).T @ (d @ u)
            own["U"] = u
            own["V"] = beta2 * own["V"] + (1 - beta2) * (d @ u) ** 2
            own["M"] = beta1 * own["M"] + d
            n = (d + beta1 * own["M"]) / (1 + beta1 * sum(beta1**k for k in range(step)))
            a = (n @ u) / (np.sqrt(own["V"] / (1 - beta2**step)) + 1e-8) @ u.T
            rest = n - n @ u @ u.T
            c = a  # a matrix of 2 rows has no more than 2 directions: of rank 2 nothing but rounding remains at first
            if np.linalg.norm(rest) > 1e-12 * np.linalg.norm(n):
                c = a + 0.4 * sized(iterate(rest))
            w[...] = (1 - 0.01 * decay) * w - 0.01 * 0.7 * sized(c)

    def build(params):
        rule = {"betas": (beta1, beta2), "rank": rank, "gamma": 0.4, "ratio": 0.7}
        return COSMOS(params, SGD, lr=0.01, weight_decay=decay, **rule)

    check_against(build, update, tolerance=1e-7)


def test_iteration_is_muons():
    torch.manual_seed(0)
    for shape in ((3, 5), (5, 3), (4, 4)):
        matrix = torch.randn(shape, dtype=torch.float64)
        torch.testing.assert_close(orthogonal(matrix), torch.from_numpy(iterate(matrix.numpy())), rtol=1e-9, atol=1e-9)


def state_after(rank, steps=12):
    torch.manual_seed(1)
    w = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    optimizer = COSMOS([w], lr=0.01, rank=rank)
    for step in range(steps):
        w.grad = torch.sin(w.detach() * (step + 1))
        optimizer.step()
    return optimizer.state[w]


def test_memory_and_basis():  # n r for the basis, r^2, m r instead of Adam's m n; the columns stay orthonormal
    state = state_after(2)
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes == {
        "step": (), "momentum_buffer": (4, 6), "basis": (6, 2), "covariance": (2, 2), "projected_avg_sq": (4, 2)
    }  # fmt: skip
    torch.testing.assert_close(state["basis"].T @ state["basis"], torch.eye(2, dtype=torch.float64))


def test_basis_is_that_of_the_covariance():  # gradients of one rank-1 direction: the first column becomes it
    w = torch.zeros(3, 5, dtype=torch.float64, requires_grad=True)
    optimizer = COSMOS([w], rank=1)
    torch.manual_seed(2)
    direction = torch.nn.functional.normalize(torch.randn(5, dtype=torch.float64), dim=0)
    for _ in range(60):
        noise = 0.05 * torch.randn(3, 5, dtype=torch.float64)
        w.grad = torch.outer(torch.randn(3, dtype=torch.float64), direction) + noise
        optimizer.step()
    assert (optimizer.state[w]["basis"][:, 0] @ direction).abs() > 0.99


def test_size_of_a_step():  # ratio lr in root mean square
    torch.manual_seed(3)
    w = torch.zeros(3, 5, dtype=torch.float64, requires_grad=True)
    w.grad = torch.randn(3, 5, dtype=torch.float64)
    COSMOS([w], lr=0.5, ratio=0.3, rank=2).step()
    assert w.data.square().mean().sqrt().item() == pytest.approx(0.15)


def test_rank_above_the_columns_takes_all_of_them_and_a_gradient_of_0_moves_nothing():
    w = torch.ones(3, 2, requires_grad=True)
    optimizer = COSMOS([w], rank=64, weight_decay=0.0)
    w.grad = torch.zeros(3, 2)
    optimizer.step()
    assert torch.equal(w.data, torch.ones(3, 2)) and optimizer.state[w]["basis"].shape == (2, 2)
