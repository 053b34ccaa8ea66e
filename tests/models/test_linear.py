import pytest
import torch

from lossbench.models.linear import linear
from tests.models.support import built, check_model, check_vmap, images


@pytest.mark.parametrize("shape", [(7,), (1, 8, 8), (3, 4, 5)])
def test_model(shape):
    check_model(lambda: linear(input_shape=shape, num_outputs=4), shape, 4)
    check_vmap(lambda: linear(input_shape=shape, num_outputs=4), shape)


def test_definition():  # the matrix product, written out; the features are the inputs
    model = built(lambda: linear(input_shape=(2, 3), num_outputs=4))
    x = images(5, 2, 3)
    weight, bias = model.state_dict()["head.weight"], model.state_dict()["head.bias"]
    torch.testing.assert_close(model(x), torch.einsum("bi,ci->bc", x.reshape(5, 6), weight) + bias)
    assert torch.equal(model.body(x), x.reshape(5, 6))
    assert list(model.state_dict()) == ["head.weight", "head.bias"]
