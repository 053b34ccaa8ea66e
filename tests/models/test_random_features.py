import pytest
import torch

from lossbench.models.random_features import random_features
from tests.models.support import built, check_model, check_vmap, images


@pytest.mark.parametrize("shape", [(7,), (1, 8, 8)])
def test_model(shape):
    check_model(lambda: random_features(input_shape=shape, num_outputs=4, width=30), shape, 4)
    check_vmap(lambda: random_features(input_shape=shape, num_outputs=4, width=30), shape)


def test_definition():  # written out; only the head is trained
    model, x = built(lambda: random_features(input_shape=(2, 3), num_outputs=4, width=5)), images(6, 2, 3)
    random, weight = model.state_dict()["body.weight"], model.state_dict()["head.weight"]
    hidden = torch.einsum("bi,fi->bf", x.reshape(6, 6), random)
    expected = torch.einsum("bf,cf->bc", torch.where(hidden > 0, hidden, 0.0), weight)
    torch.testing.assert_close(model(x), expected)
    assert [name for name, _ in model.named_parameters()] == ["head.weight"]


def test_scale():  # variance 1 / number of inputs: products with inputs of variance 1 have variance 1
    weight = built(lambda: random_features(input_shape=(400,), num_outputs=2, width=200)).body.weight
    assert weight.std().item() == pytest.approx(1 / 20, rel=0.02)
