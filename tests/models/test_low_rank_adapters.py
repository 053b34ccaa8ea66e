import pytest
import torch
import torch.nn.functional as F

from lossbench.errors import UsageError
from lossbench.models.low_rank_adapters import low_rank_adapters


def made(**options):
    torch.manual_seed(0)
    return low_rank_adapters(input_shape=(9,), num_outputs=4, widths=(6, 5), num_tasks=3, **options).double()


def test_adapts_weights():  # W + scale / rank sum_q a_q B_q A_q, formed for each example
    model = made(rank=2, scale=3.0)
    layers = [*(told.layer for told in model.body), model.head.layer]
    for layer in layers:
        torch.nn.init.normal_(layer.up)
    x, trade_offs = torch.randn(7, 6).double(), torch.rand(7, 3).double()
    outputs = model(torch.cat([x, trade_offs], 1))
    assert outputs.shape == (7, 3, 4)
    for i in range(7):
        h = x[i]
        for depth, layer in enumerate(layers):
            change = sum(trade_offs[i, q] * layer.up[q] @ layer.down[q] for q in range(3))
            h = F.linear(h, layer.weight + 3 / 2 * change, layer.bias)
            h = h.relu() if depth < 2 else h
        torch.testing.assert_close(outputs[i].flatten(), h)


def test_starts_as_one_network():  # B = 0: the trade-off changes nothing yet, but has a gradient
    model, x = made(), torch.randn(5, 6).double()
    a, b = (model(torch.cat([x, t.expand(5, 3)], 1)) for t in torch.eye(3).double()[:2])
    assert torch.equal(a, b)
    a.sum().backward()
    assert model.head.layer.up.grad[0].any() and not model.head.layer.up.grad[1].any()


def test_refuses_images():
    with pytest.raises(UsageError, match="task=pareto_front"):
        low_rank_adapters(input_shape=(1, 8, 8), num_outputs=4)
