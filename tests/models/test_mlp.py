import numpy as np
import pytest
import torch
from scipy.stats import norm

from lossbench.models.linear import linear
from lossbench.models.mlp import mlp
from tests.models.support import built, check_model, check_vmap, images


@pytest.mark.parametrize("shape", [(7,), (1, 8, 8)])
@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "tanh"])
def test_model(shape, activation):
    check_model(lambda: mlp(input_shape=shape, num_outputs=4, widths=(9, 6), activation=activation), shape, 4)
    check_vmap(lambda: mlp(input_shape=shape, num_outputs=4, widths=(9, 6), activation=activation), shape)


@pytest.mark.parametrize(
    ("activation", "definition"),
    [
        ("relu", lambda z: np.maximum(z, 0)),
        ("tanh", np.tanh),
        ("silu", lambda z: z / (1 + np.exp(-z))),
        ("gelu", lambda z: z * norm.cdf(z)),
    ],
)
def test_oracle(activation, definition):  # in numpy
    model = built(lambda: mlp(input_shape=(2, 3), num_outputs=4, widths=[9, 5], activation=activation))
    w = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    x = images(5, 2, 3)
    hidden = definition(x.reshape(5, 6).double().numpy() @ w["body.1.weight"].T + w["body.1.bias"])
    hidden = definition(hidden @ w["body.3.weight"].T + w["body.3.bias"])
    expected = hidden @ w["head.weight"].T + w["head.bias"]
    np.testing.assert_allclose(model(x).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_without_hidden_layers_is_linear():
    one = built(lambda: linear(input_shape=(6,), num_outputs=4))
    other = built(lambda: mlp(input_shape=(6,), num_outputs=4, widths=[]))
    assert torch.equal(one(images(5, 6)), other(images(5, 6)))


def test_dropout():  # off in evaluation; in training it leaves zeros and scales the rest by 1 / (1 - p)
    model = built(lambda: mlp(input_shape=(6,), num_outputs=4, widths=[4000], dropout=0.25))
    x = images(2, 6)
    kept = model.eval().body(x)
    dropped = model.train().body(x)
    ratio = (dropped / kept)[kept > 0]
    assert ((ratio == 0) | ((ratio - 4 / 3).abs() < 1e-4)).all()
    assert (ratio == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_names():
    names = ["body.1.weight", "body.1.bias", "body.3.weight", "body.3.bias", "head.weight", "head.bias"]
    assert list(mlp(input_shape=(6,), num_outputs=4).state_dict()) == names
