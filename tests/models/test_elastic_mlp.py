import pytest
import torch

from lossbench.models.elastic_mlp import elastic_mlp
from lossbench.models.mlp import mlp
from tests.models.support import built, check_model, check_vmap, images


@pytest.mark.parametrize("shape", [(7,), (1, 8, 8)])
def test_model(shape):
    check_model(lambda: elastic_mlp(input_shape=shape, num_outputs=4, widths=(9, 6)), shape, 4)
    check_vmap(lambda: elastic_mlp(input_shape=shape, num_outputs=4, widths=(9, 6)), shape)


def test_whole():  # it is the MLP, with the same initial weights, and so are all shares of 1
    own, other = (built(lambda f=f: f(input_shape=(1, 4, 4), num_outputs=3, widths=(8, 6))) for f in (elastic_mlp, mlp))
    x = images(5, 1, 4, 4)
    torch.testing.assert_close(own(x), other(x))
    torch.testing.assert_close(own.body((x, torch.ones(2))), own.body(x))


@pytest.mark.parametrize(("shares", "kept"), [((0.5, 2 / 3), (4, 4)), ((0.01, 0.35), (1, 3)), ((1.0, 1 / 6), (8, 1))])
@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_subnet(shares, kept, activation):  # an MLP made of the first rows and columns of the weights
    whole = built(lambda: elastic_mlp(input_shape=(5,), num_outputs=3, widths=(8, 6), activation=activation))
    narrow = mlp(input_shape=(5,), num_outputs=3, widths=kept, activation=activation)
    layers = [*whole.body.layers, whole.head]
    with torch.no_grad():
        for own, wide in zip([m for m in narrow.modules() if isinstance(m, torch.nn.Linear)], layers, strict=True):
            own.weight.copy_(wide.weight[: own.out_features, : own.in_features])
            own.bias.copy_(wide.bias[: own.out_features])
    x = images(4, 5)
    torch.testing.assert_close(whole.head(whole.body((x, torch.tensor(shares)))), narrow(x))
