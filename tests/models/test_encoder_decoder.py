import math

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, stack_module_state, vmap
from torch.testing import assert_close

from lossbench.errors import UsageError
from lossbench.models.encoder_decoder import encoder_decoder
from tests.models.support import built

S, T, C = 4, 5, 11
SMALL = {"depth": 2, "width": 12, "heads": 3}


def make(seed=0, **options):
    return built(lambda: encoder_decoder(input_shape=(S, T), num_outputs=C, **{**SMALL, **options}), seed).eval()


def tokens(*shape, seed=0):
    return torch.randint(C, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("options", [{}, {"qk_norm": False, "tied": True}, {"activation": "swiglu"}], ids=str)
def test_model(options):
    model, x = make(**options), tokens(3, S + T)
    assert model.body(x).shape == (3, S + T, model.num_features) and model(x).shape == (3, S + T, C)
    F.cross_entropy(model(x)[:, S:].mT, tokens(3, T, seed=1)).backward()
    assert not [n for n, p in model.named_parameters() if not p.grad.any() or not p.grad.isfinite().all()]
    other = make(seed=1, **options)
    assert_close(functional_call(model, dict(other.named_parameters()), (x,)), other(x), rtol=0, atol=0)
    assert not torch.equal(model(x), other(x))


def test_what_sees_what():  # the source itself whole; the target all of the source, and itself up to the place
    model, x = make(), tokens(2, S + T)
    before = model(x)
    for place in range(S + T):
        changed = x.clone()
        changed[:, place] = (x[:, place] + 1) % C
        moved = (model(changed) - before).abs().amax(-1) > 1e-7
        if place < S:
            assert moved.all()
        else:
            assert not moved[:, :place].any() and moved[:, place:].all()


def test_cross_attention_oracle():  # torch's own, with the same weights
    model = make(qk_norm=False)
    block = model.body.decoder[0]
    width, heads = SMALL["width"], SMALL["heads"]
    theirs = torch.nn.MultiheadAttention(width, heads, bias=False, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([block.query.weight, block.key_value.weight]).detach()
    theirs.out_proj.weight.data = block.cross_projection.weight.detach()
    x, source = torch.randn(2, T, width), torch.randn(2, S, width)
    assert_close(block.cross(x, source), theirs(x, source, source)[0], rtol=1e-4, atol=1e-5)


def test_vmap():
    models = [make(seed) for seed in range(3)]
    parameters, buffers = stack_module_state(models)
    x = tokens(3, 4, S + T)
    outputs = vmap(lambda p, b, own: functional_call(models[0], (p, b), (own,)))(parameters, buffers, x)
    for i, model in enumerate(models):
        assert_close(outputs[i], model(x[i]), rtol=1e-4, atol=1e-5)


def test_start():
    x = tokens(20, S + T)
    loss = F.cross_entropy(make(width=48)(x).mT, tokens(20, S + T, seed=1)).item()
    assert abs(loss - math.log(C)) < 0.1


def test_refusals():
    with pytest.raises(UsageError, match=r"\[S, T\].*\[9\].*task=seq2seq"):
        encoder_decoder(input_shape=(9,), num_outputs=5)
    with pytest.raises(UsageError, match=r"model\.heads=5"):
        encoder_decoder(input_shape=(S, T), num_outputs=5, width=12, heads=5)
