import torch
import torch.nn.functional as F
from torch.func import functional_call, stack_module_state, vmap

from lossbench.heads.legendre_link import legendre_link


def made(seed: int = 0, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    return legendre_link(num_features=6, num_outputs=4, **options).double()


def features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_limit():  # without the network and with softplus(w0) = 1: logistic regression with a class of reference
    head, h = made(blocks=2), features(5)
    with torch.no_grad():
        for block in head.blocks:
            block.w1.fill_(-1e3)
            block.w0.copy_(torch.tensor(1.0).double().expm1().log())
    expected = torch.cat([h @ head.scores.weight.T + head.scores.bias, torch.zeros(5, 1)], 1)
    torch.testing.assert_close(head(h), expected)


def test_oracle():  # the potential written out, differentiated by finite differences
    head, h = made(depth=3, hidden=6), features()
    block = head.blocks[0]
    with torch.no_grad():  # away from where the normalisations start
        for parameter in block.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))

    def layer(weight, bias, z):  # (softplus(W) z + b) / inputs
        return torch.stack([(F.softplus(row) * z).sum() + b for row, b in zip(weight, bias, strict=True)]) / len(z)

    def potential(x):
        n = block.slope
        z = F.softplus(n.first.weight @ x + n.first.bias)
        for i in range(2):
            joined = layer(n.inner[i].weight, n.inner[i].bias, z) + n.skips[i].weight @ x + n.skips[i].bias
            scaled = (joined + n.norms[i].shift) * (n.norms[i].log_scale.exp() + 1e-3)
            z = torch.cat([F.softplus(scaled), F.softplus(n.own[i].weight @ x + n.own[i].bias)])
        last = layer(n.last.weight, [0.0], z)[0] + (n.last_skip.weight @ x)[0]
        convex = last * (n.last_log_scale.exp() + 1e-3)
        return F.softplus(block.w1) * convex + F.softplus(block.w0) * (x @ x) / 2

    with torch.no_grad():
        x, step = head.scores(h), 1e-5
        moves = step * torch.eye(3, dtype=torch.float64)
        slopes = torch.stack([(potential(x + e) - potential(x - e)) / (2 * step) for e in moves])
        torch.testing.assert_close(head(h), F.pad(slopes, (0, 1)), rtol=1e-6, atol=1e-7)


def test_hand():  # one unit of x = 0: softplus'(0) = 1/2; F' = softplus(w1) (softplus(W) softplus'(0) W1 / 2 + skip)
    head = legendre_link(num_features=1, num_outputs=2, hidden=2, depth=1).double()
    block, network = head.blocks[0], head.blocks[0].slope
    values = {head.scores.weight: 1.0, head.scores.bias: 0.0, network.first.weight: 3.0, network.first.bias: 0.0,
              network.last.weight: 0.0, network.last_skip.weight: 5.0, block.w1: 0.0, block.w0: 0.0}  # fmt: skip
    with torch.no_grad():
        for parameter, value in values.items():
            parameter.fill_(value)
    log2 = torch.tensor(2.0).double().log()
    # two hidden units, each of weight log 2 and slope 1/2 * 3; their sum over 2 inputs; scale exp(0) + 0.001
    slope = log2 * (2 * log2 * 1.5 / 2 + 5) * 1.001
    torch.testing.assert_close(head(torch.zeros(1, 1).double()), torch.stack([slope, torch.zeros(())]).double()[None])


def test_each_block_is_the_gradient_of_a_convex_function():  # its Jacobian is symmetric and positive definite
    block = made(depth=4, hidden=8).blocks[0]
    for x in torch.randn(5, 3, dtype=torch.float64) * 3:
        jacobian = torch.func.jacrev(block)(x)
        torch.testing.assert_close(jacobian, jacobian.T)
        assert torch.linalg.eigvalsh(jacobian)[0] > 0


def test_every_parameter_learns():  # through the gradient that the forward pass takes
    head, h = made(blocks=2), features(5)
    F.cross_entropy(head(h), torch.tensor([0, 1, 2, 3, 0])).backward()
    flat = [name for name, p in head.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not flat
    with torch.no_grad():
        assert head(h).shape == (5, 4)


def test_stacked():
    heads, h = [made(seed, blocks=2) for seed in range(3)], features(3, 2, 5)
    stacked = vmap(lambda p, b, x: functional_call(heads[0], (p, b), (x,)))(*stack_module_state(heads), h)
    torch.testing.assert_close(stacked, torch.stack([head(x) for head, x in zip(heads, h, strict=True)]))
