import math

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, stack_module_state, vmap
from torch.testing import assert_close

from lossbench.errors import UsageError
from lossbench.models.gpt import rotate
from lossbench.models.softmax_gpt import softmax_gpt
from tests.models.support import built

T, C = 6, 11
SMALL = {"depth": 2, "width": 12, "heads": 3}


def make(seed=0):
    return built(lambda: softmax_gpt(input_shape=(T,), num_outputs=C, **SMALL), seed).eval()


def tokens(*shape, seed=0):
    return torch.randint(C, shape, generator=torch.Generator().manual_seed(seed))


def test_model():
    model, x = make(), tokens(3, T)
    assert model.body(x).shape == (3, T, 12 + 2 * 3) and model(x).shape == (3, T, C)
    F.cross_entropy(model(x).mT, tokens(3, T, seed=1)).backward()
    assert not [n for n, p in model.named_parameters() if not p.grad.any() or not p.grad.isfinite().all()]
    assert_close(model(x), F.linear(model.body(x)[..., :12], model.head.weight))
    changed = x.clone()
    changed[:, 4] = (x[:, 4] + 1) % C
    moved = (model.body(changed) - model.body(x)).abs().amax(-1) > 1e-7
    assert not moved[:, :4].any() and moved[:, 4:].all()


def test_oracle():  # torch's own attention, and the entropy of its weights query by query
    model, x = make(), tokens(2, T)
    block = model.body.blocks[0]
    h = model.body.embedding(x)
    query, key, value = (
        F.linear(h, w).unflatten(-1, (3, 4)).transpose(1, 2) for w in block.query_key_value.weight.chunk(3)
    )
    query, key = (rotate(t, model.body.cosine, model.body.sine) for t in (query, key))
    mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(-2)
    after = h + F.linear(mixed, block.projection.weight)
    after = after + 0.1 * F.linear(after, block.feed_forward.weight)
    found, entropy = block(h, model.body.cosine, model.body.sine)
    assert_close(found, after, rtol=1e-4, atol=1e-5)
    for i, place, head in ((0, 0, 0), (0, 3, 1), (1, 5, 2)):
        scores = key[i, head, : place + 1] @ query[i, head, place] / 2
        expected = torch.distributions.Categorical(logits=scores).entropy()
        assert_close(entropy[i, place, head], expected, rtol=1e-4, atol=1e-5)
    assert_close(model.body(x)[..., 12:15], entropy)


def test_bounds():  # equal scores: log of what is seen
    model, x = make(), tokens(2, T)
    for block in model.body.blocks:
        block.query_key_value.weight.data.zero_()
    expected = torch.arange(1, T + 1).log().view(1, T, 1).expand(2, T, 6)
    assert_close(model.body(x)[..., 12:], expected, rtol=1e-5, atol=1e-6)
    assert math.log(T) == pytest.approx(expected.max().item())


def test_vmap():
    models, x = [make(seed) for seed in (0, 1)], tokens(2, T)
    parameters, buffers = stack_module_state(models)
    together = vmap(lambda p, b: functional_call(models[0], {**p, **b}, (x,)))(parameters, buffers)
    for i, model in enumerate(models):
        assert_close(together[i], model(x), rtol=1e-4, atol=1e-5)


def test_images_are_refused():
    with pytest.raises(UsageError, match="softmax_gpt reads tokens"):
        softmax_gpt(input_shape=(1, 8, 8), num_outputs=10)
