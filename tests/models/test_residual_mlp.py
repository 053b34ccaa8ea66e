from functools import partial

import numpy as np
import pytest
import torch

from lossbench.models.residual_mlp import residual_mlp
from tests.models.support import built, check_model, images

MAKE = partial(residual_mlp, input_shape=(1, 4, 4), num_outputs=3, width=12)


@pytest.mark.parametrize("activation", ["relu", "abs", "gelu", "tanh"])
def test_model(activation):
    check_model(partial(MAKE, depth=3, activation=activation), (1, 4, 4), 3)


def test_oracle():  # the equations in numpy
    model = built(
        partial(MAKE, depth=4, activation="abs", branch_scale=0.7, branch_exponent=0.5, base_depth=2)
    ).double()
    x = images(6, 1, 4, 4).double()
    w = {name: p.detach().numpy() for name, p in model.named_parameters()}
    h = x.flatten(1).numpy() @ w["body.1.weight"].T + w["body.1.bias"]
    for block in range(4):
        made = np.abs(h @ w[f"body.{block + 2}.linear.weight"].T / np.sqrt(2))
        h = h + 0.7 / np.sqrt(2) * (made - made.mean(1, keepdims=True))
    expected = h @ w["head.weight"].T + w["head.bias"]
    np.testing.assert_allclose(model(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


def weight_rates(exponent, depth):
    """How far one step of Adam moves the effective weights of a block: the parameter's step over the divisor."""
    model = built(partial(MAKE, depth=depth, rate_exponent=exponent)).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-30)
    block = model.body[2]
    before = block.linear.weight.detach() / block.divisor
    (model(images(6, 1, 4, 4).double()) ** 2).sum().backward()
    optimizer.step()
    return (block.linear.weight.detach() / block.divisor - before).abs().max().item()


def test_learning_rates():  # eta / sqrt(depth) under Adam
    assert weight_rates(0.5, 4) == pytest.approx(0.005, rel=1e-6)
    assert weight_rates(0.0, 4) == pytest.approx(0.01, rel=1e-6)
    assert weight_rates(0.5, 1) == pytest.approx(0.01, rel=1e-6)


def size_of_features(depth, exponent):
    model = built(partial(residual_mlp, input_shape=(30,), num_outputs=3, width=256, depth=depth,
                          branch_exponent=exponent, rate_exponent=0.5))  # fmt: skip
    return model.body(images(20, 30)).square().mean().sqrt().item()


def test_size_of_the_stream():
    """Independent of depth with 1/2, and it grows without end with 0. With relu and the mean taken off, a block adds
    (1/2 - 1/(2 pi)) |h|^2 / depth to |h|^2, so that |h| grows by exp((1/2 - 1/(2 pi)) / 2) = 1.186 in all."""
    start = built(partial(residual_mlp, input_shape=(30,), num_outputs=3, width=256, depth=1))
    inputs = start.body[1](images(20, 30)).square().mean().sqrt().item()
    assert size_of_features(64, 0.5) / inputs == pytest.approx(1.186, rel=0.08)
    assert size_of_features(64, 0.5) == pytest.approx(size_of_features(16, 0.5), rel=0.08)
    assert size_of_features(64, 0.0) > 1e3 * inputs


def test_weights_start_alike_in_every_scaling():  # what acts on the stream has the variance 1 / width
    for exponent in (0.0, 0.5):
        model = built(
            partial(residual_mlp, input_shape=(30,), num_outputs=3, width=128, depth=16, rate_exponent=exponent)
        )
        block = model.body[5]
        assert (block.linear.weight / block.divisor).std().item() == pytest.approx(128**-0.5, rel=0.03)


def test_base_depth():  # there the exponents do nothing
    x = images(6, 1, 4, 4)
    outputs = [
        built(partial(MAKE, depth=4, base_depth=4, branch_exponent=b, rate_exponent=r))(x)
        for b, r in ((0, 0), (0.5, 0.5), (1, 0))
    ]
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])
