import pytest
import torch
import torch.nn.functional as F

from lossbench.errors import UsageError
from lossbench.models.weight_simplex import weight_simplex


def test_mixes_weights():  # an ordinary perceptron with the mixed weights, for every example its own trade-off
    torch.manual_seed(0)
    model = weight_simplex(input_shape=(9,), num_outputs=4, widths=(6, 5), num_tasks=3).double()
    x = torch.randn(7, 6).double()
    trade_offs = torch.rand(7, 3).double()
    outputs = model(torch.cat([x, trade_offs], 1))
    assert outputs.shape == (7, 3, 4)
    layers = [*(told.layer for told in model.body), model.head.layer]
    for i in range(7):
        h = x[i]
        for depth, layer in enumerate(layers):
            weight, bias = (sum(trade_offs[i, q] * t[q] for q in range(3)) for t in (layer.weight, layer.bias))
            h = F.linear(h, weight, bias)
            h = h.relu() if depth < 2 else h
        torch.testing.assert_close(outputs[i].flatten(), h)


def test_a_corner_is_a_member_alone():  # the others have no gradient there
    model = weight_simplex(input_shape=(8,), num_outputs=4, num_tasks=2)
    model(torch.cat([torch.randn(3, 6), torch.tensor([[0.0, 1.0]]).expand(3, 2)], 1)).sum().backward()
    for told in [*model.body, model.head]:
        assert not told.layer.weight.grad[0].any() and told.layer.weight.grad[1].any()


def test_members_start_apart():
    weight = weight_simplex(input_shape=(8,), num_outputs=4).head.layer.weight
    assert not torch.equal(weight[0], weight[1])


def test_refuses_images():
    with pytest.raises(UsageError, match="task=pareto_front"):
        weight_simplex(input_shape=(1, 8, 8), num_outputs=4)
