import pytest
import torch

from lossbench.optimizers.lion import Lion
from tests.optimizers.support import check_resume, gradients, network, train, weights


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_oracle(weight_decay):  # algorithm 2 of the paper, written out tensor by tensor, over 50 steps
    ours, theirs = network(), network()
    train(ours, Lion(ours.parameters(), lr=0.01, betas=(0.8, 0.95), weight_decay=weight_decay), range(50))
    momenta = [torch.zeros_like(p) for p in theirs.parameters()]
    for step in range(50):
        for i, (p, g) in enumerate(zip(theirs.parameters(), gradients(theirs, step), strict=True)):
            update = (0.8 * momenta[i] + 0.2 * g).sign()
            p.data = p.data - 0.01 * (update + weight_decay * p.data)
            momenta[i] = 0.95 * momenta[i] + 0.05 * g
    assert (weights(ours) - weights(network())).abs().max() > 0.1  # it has moved
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-10, atol=1e-12)


def test_hand():  # g = 2, then -1: u = sign(0.2), then m = 0.02, 0.9 * 0.02 - 0.1 = -0.082, so up again
    p = torch.tensor([1.0, 5.0], dtype=torch.float64, requires_grad=True)
    optimizer = Lion([p], lr=0.1, weight_decay=0.5)
    p.grad = torch.tensor([2.0, 0.0], dtype=torch.float64)  # a gradient of 0 moves by the decay alone
    optimizer.step()
    torch.testing.assert_close(p.data, torch.tensor([1 - 0.1 * (1 + 0.5), 5 - 0.1 * 2.5], dtype=torch.float64))
    p.grad = torch.tensor([-1.0, 0.0], dtype=torch.float64)
    optimizer.step()
    torch.testing.assert_close(p.data[0].item(), 0.85 - 0.1 * (-1 + 0.5 * 0.85))
    assert optimizer.state[p]["exp_avg"][0].item() == pytest.approx(0.99 * 0.02 - 0.01)


def test_parameters_without_gradient_stay():
    one, other = (torch.ones(2, requires_grad=True) for _ in range(2))
    one.grad = torch.ones(2)
    Lion([one, other]).step()
    assert torch.equal(other.data, torch.ones(2)) and not torch.equal(one.data, torch.ones(2))


def test_resume(tmp_path):
    check_resume(lambda params: Lion(params, lr=0.01), tmp_path / "checkpoint.pt")
