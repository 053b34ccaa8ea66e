import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from lossbench.models.mttt import LinearLearner, MLPLearner, gelu_slope, mttt
from lossbench.models.vit import vit
from tests.models.support import built, check_model, check_vmap, images

MIXERS = ("mlp_learner", "linear_learner", "linear_attention", "softmax_attention")
SMALL = {"input_shape": (1, 4, 4), "num_outputs": 3, "width": 8, "depth": 2, "heads": 2}


@pytest.mark.parametrize("mixer", MIXERS)
def test_model(mixer):
    check_model(lambda: mttt(**SMALL, mixer=mixer), (1, 4, 4), 3)
    check_vmap(lambda: mttt(**SMALL, mixer=mixer), (1, 4, 4))


def views(seed=0):
    return (images(2, 3, 5, 4, seed=seed + i).double() for i in range(3))  # [B, heads, T, d]


def test_limit_linear_attention():  # one step from 0 with rate 1 is linear attention, in the layer and in the model
    keys, labels, queries = views()
    found = LinearLearner(3, 4, rate=1.0, steps=1).double()(keys, labels, queries)
    for b in range(2):
        for h in range(3):
            for i in range(5):
                expected = sum(labels[b, h, j] * (keys[b, h, j] @ queries[b, h, i]) for j in range(5)) / 5
                assert_close(found[b, h, i], expected)
    x = images(3, 1, 4, 4)
    pair = [built(lambda mixer=mixer: mttt(**SMALL, mixer=mixer)) for mixer in ("linear_learner", "linear_attention")]
    assert_close(pair[0](x), pair[1](x))


def test_limit_softmax():  # is the vision transformer, weight by weight
    x = images(3, 1, 4, 4)
    expected = built(lambda: vit(**SMALL, patch_size=1, pool="mean"))
    model = built(lambda: mttt(**SMALL, mixer="softmax_attention"))
    assert_close(model(x), expected(x), rtol=0, atol=0)
    for mixer in MIXERS:  # the same initial weights with every mixer
        tensors = built(lambda mixer=mixer: mttt(**SMALL, mixer=mixer)).state_dict()
        for name, tensor in expected.state_dict().items():
            assert torch.equal(tensors[name], tensor), (mixer, name)


@pytest.mark.parametrize("steps", [1, 3])
def test_loop(steps):  # the inner steps image by image and head by head, with gradients by autograd
    keys, labels, queries = views()
    linear, mlp = LinearLearner(3, 4, 0.7, steps).double(), MLPLearner(3, 4, 6, 0.7, steps).double()
    for seed, parameter in enumerate((*linear.parameters(), *mlp.parameters())):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    models = {
        linear: lambda w, k: k @ w[0],
        mlp: lambda w, k: F.gelu(k @ w[0] + w[1]) @ w[2] + w[3],
    }
    for learner, model in models.items():
        found = learner(keys, labels, queries)
        for b in range(2):
            for h in range(3):
                weights = [p[h].detach().clone() for p in learner.parameters()]
                for _ in range(steps):
                    weights = [w.requires_grad_() for w in weights]
                    errors = model(weights, keys[b, h]) - labels[b, h]
                    loss = sum(0.5 * error.square().sum() for error in errors) / 5
                    slopes = torch.autograd.grad(loss, weights)
                    weights = [(w - 0.7 * g).detach() for w, g in zip(weights, slopes, strict=True)]
                assert_close(found[b, h], model(weights, queries[b, h]))


def test_outer_gradient_goes_through_the_steps():  # finite differences of the start, of the labels and of the keys
    keys, labels, queries = views()
    learner = MLPLearner(3, 4, 6, 0.5, 2).double()
    for seed, parameter in enumerate(learner.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    names = [name for name, _ in learner.named_parameters()]

    def run(keys, labels, *tensors):
        return torch.func.functional_call(learner, dict(zip(names, tensors, strict=True)), (keys, labels, queries))

    inputs = [t.detach().clone().requires_grad_() for t in (keys, labels, *learner.parameters())]
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


def test_rate_to_0():  # the learners then are their start, for every image the same function of the query
    keys, labels, queries = views()
    learner = MLPLearner(3, 4, 6, 1e-12, 1).double()
    for parameter in learner.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    assert_close(learner(keys, labels, queries), learner(keys.flip(0), labels.flip(0), queries))


def test_gelu_slope():
    x = torch.linspace(-6, 6, 101, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(F.gelu(x).sum(), x)
    assert_close(gelu_slope(x.detach()), expected)
