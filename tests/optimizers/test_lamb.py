import numpy as np
import pytest
import torch

from lossbench.optimizers.lamb import LAMB
from tests.optimizers.support import check_against


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_oracle(decay):  # algorithm 2, over 50 steps
    memory: dict = {}

    def update(theta, g, loss, step):
        for i, (w, d) in enumerate(zip(theta, g, strict=True)):
            m, v = memory[i] if step > 1 else (0.0, 0.0)
            m, v = 0.8 * m + 0.2 * d, 0.95 * v + 0.05 * d * d
            memory[i] = m, v
            r = m / (1 - 0.8**step) / (np.sqrt(v / (1 - 0.95**step)) + 1e-6) + decay * w
            w -= 0.02 * np.linalg.norm(w) / np.linalg.norm(r) * r

    check_against(lambda params: LAMB(params, lr=0.02, betas=(0.8, 0.95), weight_decay=decay), update, tolerance=1e-9)


def test_with_factor_1_it_is_adamw():  # of a weight whose size is that of its step: one number, kept at |w| = |r|
    w, v = (torch.ones(1, 1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    for p, optimizer in ((w, LAMB([w], lr=0.1, eps=1e-8, weight_decay=0.0)), (v, torch.optim.Adam([v], lr=0.1))):
        p.grad = torch.full((1, 1), 5.0, dtype=torch.float64)
        optimizer.step()  # r = 1 at the first step, whatever the gradient
    torch.testing.assert_close(w.data, v.data)


def test_first_step_is_lr_times_the_size_of_the_weights():
    torch.manual_seed(0)
    w = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    before = w.detach().clone()
    w.grad = torch.randn(3, 4, dtype=torch.float64)
    LAMB([w], lr=0.05).step()
    assert (w.data - before).norm().item() == pytest.approx(0.05 * before.norm().item())


def test_zeros_can_move_and_a_gradient_of_0_moves_nothing():
    w = torch.zeros(2, 2, requires_grad=True)
    w.grad = torch.ones(2, 2)
    LAMB([w], lr=0.1, weight_decay=0.0).step()
    torch.testing.assert_close(w.data, torch.full((2, 2), -0.1), rtol=1e-5, atol=0)
    v = torch.ones(2, 2, requires_grad=True)
    v.grad = torch.zeros(2, 2)
    LAMB([v], lr=0.1, weight_decay=0.0).step()
    assert torch.equal(v.data, torch.ones(2, 2))
