import torch
import torch.nn.functional as F
from torch.func import functional_call, stack_module_state, vmap

from lossbench.models.stochastic_mlp import stochastic_mlp


def made(seed=0):
    torch.manual_seed(seed)
    return stochastic_mlp(input_shape=(2, 3), num_outputs=4, widths=(7,), latent_size=5)


def test_equation():
    model, x = made(), torch.randn(6, 2, 3)
    first, second = model.body.layers[1], model.body.layers[3]
    raw = second(first(x.flatten(1)).clamp(min=0))
    found = model.body(x)
    torch.testing.assert_close(found[:, :5], raw[:, :5])
    torch.testing.assert_close(found[:, 5:], F.softplus(raw[:, 5:] - 5))
    torch.testing.assert_close(model(x), found[:, :5] @ model.head.weight.T + model.head.bias)


def test_stacked():
    models, x = [made(seed) for seed in range(3)], torch.randn(3, 6, 2, 3)
    stacked = vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)))(*stack_module_state(models), x)
    torch.testing.assert_close(stacked, torch.stack([model(one) for model, one in zip(models, x, strict=True)]))
