"""Learned pooling against torch's pooling in the limits, and against a loop over windows."""

import math

import pytest
import torch
import torch.nn.functional as F

from lossbench.models.convnet import convnet
from lossbench.models.pooling import GatedPooling, MixedPooling, TreePooling, windows
from tests.models.support import check_model, check_vmap, images

SHAPES = [(4, 4), (5, 4), (3, 7), (1, 1)]


def maximum(x):
    return F.max_pool2d(x, 2, ceil_mode=True)


def mean(x):
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("shape", SHAPES)
def test_limits(shape):
    x = images(2, 3, *shape)
    for layer in (MixedPooling(), GatedPooling()):  # as they start: half way
        torch.testing.assert_close(layer(x), (maximum(x) + mean(x)) / 2)
    mixed = MixedPooling()
    for logit, expected in ((40.0, maximum(x)), (-40.0, mean(x))):
        torch.nn.init.constant_(mixed.logit, logit)
        torch.testing.assert_close(mixed(x), expected)
    for levels in (1, 2, 3):
        torch.testing.assert_close(TreePooling(levels)(x), mean(x))


@pytest.mark.parametrize("shape", [(4, 6), (5, 3)])
def test_loop(shape):  # window by window, in Python's numbers
    x = images(2, 3, *shape).double()
    gated, tree = GatedPooling().double(), TreePooling(3).double()
    torch.nn.init.normal_(gated.gate, generator=torch.Generator().manual_seed(0))
    for tensor in (tree.filters, tree.gates):
        torch.nn.init.normal_(tensor, generator=torch.Generator().manual_seed(1))
    gated.requires_grad_(False), tree.requires_grad_(False)
    by_gate, by_tree = gated(x), tree(x)
    height, width = shape
    for i in range(math.ceil(height / 2)):
        for j in range(math.ceil(width / 2)):
            places = [(min(2 * i + a, height - 1), min(2 * j + b, width - 1)) for a in (0, 1) for b in (0, 1)]
            for b in range(2):
                for c in range(3):
                    values = [float(x[b, c, r, s]) for r, s in places]

                    def dot(weights, values=values):
                        return sum(float(w) * v for w, v in zip(weights, values, strict=True))

                    share = sigmoid(dot(gated.gate))
                    expected = share * max(values) + (1 - share) * sum(values) / 4
                    assert float(by_gate[b, c, i, j]) == pytest.approx(expected)
                    leaves = [dot(leaf) for leaf in tree.filters]
                    root, left, right = (sigmoid(dot(gate)) for gate in tree.gates)
                    expected = root * (left * leaves[0] + (1 - left) * leaves[1])
                    expected += (1 - root) * (right * leaves[2] + (1 - right) * leaves[3])
                    assert float(by_tree[b, c, i, j]) == pytest.approx(expected)


def test_hand():  # window (1, 2, 3, 6): maximum 6, mean 3; sigmoid(log 2) = 2/3, so mixed is 5
    x = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert windows(x).flatten().tolist() == [1.0, 2.0, 3.0, 6.0]
    mixed, gated = MixedPooling(), GatedPooling()
    torch.nn.init.constant_(mixed.logit, math.log(2))
    assert mixed(x).item() == pytest.approx(5.0)
    with torch.no_grad():
        gated.gate[0] = math.log(2)  # times 1
    assert gated(x).item() == pytest.approx(5.0)


@pytest.mark.parametrize("pooling", ["average", "mixed", "gated", "tree"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 9)])
def test_in_the_convnet(pooling, shape):
    def make():
        return convnet(input_shape=shape, num_outputs=4, widths=(8, 16), groups=4, pooling=pooling)

    check_model(make, shape, 4)
    check_vmap(make, shape)


def test_same_initial_weights():  # with every pooling; so that runs can be paired, and those of max are what they were
    found = {}
    for pooling in ("max", "average", "mixed", "gated", "tree"):
        torch.manual_seed(0)
        model = convnet(input_shape=(1, 8, 8), num_outputs=4, widths=(8, 16), groups=4, pooling=pooling)
        found[pooling] = {name: tensor for name, tensor in model.state_dict().items()}
    for pooling, tensors in found.items():
        for name, tensor in found["max"].items():
            assert torch.equal(tensors[name], tensor), (pooling, name)
    filters = found["tree"]["body.3.filters"]
    assert 0 < (filters[0] - filters[1]).abs().max() < 0.25
