import pytest
import torch
import torch.nn.functional as F

from lossbench.errors import UsageError
from lossbench.models.convnet import convnet
from tests.models.support import built, check_model, check_vmap, images


@pytest.mark.parametrize("norm", ["group", "batch", "none"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 9)])
def test_model(norm, shape):
    check_model(lambda: convnet(input_shape=shape, num_outputs=4, widths=(8, 16), norm=norm, groups=4), shape, 4)
    check_vmap(lambda: convnet(input_shape=shape, num_outputs=4, widths=(8, 16), norm=norm, groups=4), shape)


def test_oracle():  # two blocks, written out with torch's functions; the group norm by its definition
    model = built(lambda: convnet(input_shape=(3, 8, 8), num_outputs=4, widths=(8, 12), groups=4))
    w = {name: tensor.double() for name, tensor in model.state_dict().items()}
    for name in w:  # weights and biases of the norms start as 1 and 0: move them, so that they are seen
        w[name] = w[name] + 0.1 * images(*w[name].shape, seed=3).double()
    model.load_state_dict(w)
    x = images(5, 3, 8, 8).double()

    def norm(y, weight, bias):
        grouped = y.reshape(5, 4, -1)
        y = ((grouped - grouped.mean(-1, keepdim=True)) / (grouped.var(-1, False, keepdim=True) + 1e-5).sqrt()).view_as(
            y
        )
        return y * weight[:, None, None] + bias[:, None, None]

    y = norm(F.conv2d(x, w["body.0.weight"], padding=1), w["body.1.weight"], w["body.1.bias"]).clamp(min=0)
    y = F.max_pool2d(y, 2)
    y = norm(F.conv2d(y, w["body.4.weight"], padding=1), w["body.5.weight"], w["body.5.bias"]).clamp(min=0)
    expected = y.mean((-1, -2)) @ w["head.weight"].T + w["head.bias"]
    torch.testing.assert_close(model(x.float()).double(), expected, rtol=1e-4, atol=1e-5)


def test_many_blocks_on_a_small_image():  # 8, 4, 2, 1, 1, 1: a side of 1 stays 1
    model = convnet(input_shape=(1, 8, 8), num_outputs=4, widths=[8] * 6)
    assert model(images(2, 1, 8, 8)).shape == (2, 4)


def test_refusals():
    with pytest.raises(UsageError, match=r"model=convnet.*\[30\].*model=mlp"):
        convnet(input_shape=(30,), num_outputs=4)
    with pytest.raises(UsageError, match=r"model\.groups=8.*12"):
        convnet(input_shape=(1, 8, 8), num_outputs=4, widths=[8, 12])
