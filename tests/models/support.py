"""What the tests of single models share: the checks that every model must pass."""

from collections.abc import Callable

import torch
from torch.func import functional_call, stack_module_state, vmap
from torch.testing import assert_close

from lossbench.models.model import Model


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def built(build: Callable[[], Model], seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return build()


def check_model(build: Callable[[], Model], input_shape: tuple[int, ...], num_outputs: int) -> None:
    """Shapes, features, functional_call, gradients of every parameter, the same weights from the same seed."""
    model = built(build)
    x = images(6, *input_shape)
    features = model.body(x)
    assert features.shape == (6, model.num_features)
    assert model.head.in_features == model.num_features  # every head here is linear
    outputs = model(x)
    assert outputs.shape == (6, num_outputs) and outputs.isfinite().all()

    model.eval()
    assert_close(model(x), model.head(model.body(x)), rtol=0, atol=0)
    other = built(build, seed=1)
    tensors = {**dict(other.named_parameters()), **dict(other.named_buffers())}
    assert_close(functional_call(model, tensors, (x,)), other.eval()(x), rtol=0, atol=0)
    assert not torch.equal(model(x), other(x))

    model.train()
    (model(x) * images(6, num_outputs, seed=5)).sum().backward()
    without = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.any() or not p.grad.isfinite().all()
    ]
    assert not without

    again, fresh = built(build).state_dict(), built(build).state_dict()
    assert list(again) == list(fresh) and all(torch.equal(again[name], fresh[name]) for name in again)


def check_vmap(build: Callable[[], Model], input_shape: tuple[int, ...]) -> None:
    """Three models as one batched program give what they give one by one: outputs and gradients."""
    models = [built(build, seed).eval() for seed in range(3)]
    x = images(3, 5, *input_shape)
    parameters, buffers = stack_module_state(models)
    outputs = vmap(lambda p, b, inputs: functional_call(models[0], (p, b), (inputs,)))(parameters, buffers, x)
    outputs.square().sum().backward()
    for i, model in enumerate(models):
        alone = model(x[i])
        assert_close(outputs[i], alone, rtol=1e-4, atol=1e-5)
        alone.square().sum().backward()
        for name, parameter in model.named_parameters():
            gradient = parameters[name].grad[i]
            scale = parameter.grad.abs().max().item()
            assert_close(gradient, parameter.grad, rtol=1e-3, atol=1e-4 * scale)
