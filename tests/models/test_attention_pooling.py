import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from lossbench.errors import UsageError
from lossbench.models.attention_pooling import attention_pooling


def made(seed=0):
    torch.manual_seed(seed)
    return attention_pooling(input_shape=(5, 1, 2, 3), num_outputs=2, widths=(7, 4), attention_size=3)


def test_equation():  # instance by instance
    model, x = made(), torch.randn(2, 5, 1, 2, 3)
    body = model.body
    found = body(x)
    assert found.shape == (2, 4 + 5)
    for bag, row in zip(x, found, strict=True):
        h = torch.stack([body.instances(instance.flatten()) for instance in bag])
        e = torch.stack([body.score(torch.tanh(body.value(one)) * torch.sigmoid(body.gate(one)))[0] for one in h])
        a = e.exp() / e.exp().sum()
        pooled = sum(weight * one for weight, one in zip(a, h, strict=True))
        torch.testing.assert_close(row, torch.cat([pooled, e]))
        torch.testing.assert_close(model.head(row), model.head.weight @ pooled + model.head.bias)
        torch.testing.assert_close(model.head(pooled), model.head(row))


def test_order_of_the_instances_does_not_matter():
    model, x = made(), torch.randn(2, 5, 1, 2, 3)
    torch.testing.assert_close(model(x[:, [3, 0, 4, 1, 2]]), model(x))


def test_stacked():
    models, x = [made(seed) for seed in range(3)], torch.randn(3, 2, 5, 1, 2, 3)
    stacked = vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)))(*stack_module_state(models), x)
    torch.testing.assert_close(stacked, torch.stack([model(one) for model, one in zip(models, x, strict=True)]))


def test_refused():
    with pytest.raises(UsageError, match="bags"):
        attention_pooling(input_shape=(5,), num_outputs=2)
