import torch

from lossbench.aggregations.separate_momentum import init_state, separate_momentum
from tests.aggregations.support import jacobian
from tests.losses.support import near


def start(n):
    return {
        name: tensor.double()
        for name, tensor in init_state(num_examples=9, num_parameters=n, device=torch.device("cpu")).items()
    }


def test_limit():  # no difference: torch's SGD with momentum on the sum of the gradients, step by step
    weights = torch.nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer, state, own = torch.optim.SGD([weights], lr=0.1, momentum=0.8), start(4), torch.zeros(4).double()
    for step in range(4):
        rows = jacobian((3, 4), step)
        weights.grad = rows.sum(0)
        optimizer.step()
        direction, state = separate_momentum(rows, state, momentum=0.8, difference=0.0)
        own = own - 0.1 * direction
        near(own, weights.detach(), 1e-12)


def test_oracle():  # two SGDs, each with its momentum and its terms, whose steps add up
    parts = [torch.nn.Parameter(torch.zeros(4, dtype=torch.float64)) for _ in range(2)]
    optimizers = [torch.optim.SGD([p], lr=1.0, momentum=m) for p, m in zip(parts, (0.7, 0.9), strict=True)]
    state, own = start(4), torch.zeros(4).double()
    for step in range(4):
        rows = jacobian((3, 4), step)
        for part, optimizer, gradient in zip(parts, optimizers, (rows[0], rows[1] + rows[2]), strict=True):
            part.grad = gradient
            optimizer.step()
        direction, state = separate_momentum(rows, state, momentum=0.8, difference=0.1)
        own = own - direction
        near(own, (parts[0] + parts[1]).detach(), 1e-12)


def test_hand():  # gradients 1 and 2 twice, momenta 1/4 and 3/4: 3, then 1.25 + 3.5
    rows = torch.tensor([[1.0], [2.0]])
    first, state = separate_momentum(rows, start(1), momentum=0.5, difference=0.25)
    second, _ = separate_momentum(rows, state, momentum=0.5, difference=0.25)
    near(first, [3.0])
    near(second, [4.75])
