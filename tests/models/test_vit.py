import pytest
import torch
from torch.testing import assert_close

from lossbench.errors import UsageError
from lossbench.models.vit import vit
from lossbench.torchvision import torchvision
from tests.models.support import built, check_model, check_vmap, images

SMALL = {"width": 12, "depth": 2, "heads": 3}


@pytest.mark.parametrize("pool", ["class_token", "mean"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 12)])
def test_model(pool, shape):
    check_model(lambda: vit(input_shape=shape, num_outputs=5, pool=pool, **SMALL), shape, 5)
    check_vmap(lambda: vit(input_shape=shape, num_outputs=5, pool=pool, **SMALL), shape)


def test_oracle():  # torchvision's vision transformer with the same weights
    theirs = (
        torchvision()
        .models.VisionTransformer(
            image_size=16, patch_size=4, num_layers=3, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=5
        )
        .eval()
    )
    for i, parameter in enumerate(theirs.parameters()):  # many start at 0 or 1: move all, so that each is seen
        parameter.data.add_(images(*parameter.shape, seed=i), alpha=0.1)
    ours = vit(input_shape=(3, 16, 16), num_outputs=5, width=32, depth=3, heads=4, mlp_ratio=2.0).eval()
    renamed = {
        "conv_proj.": "body.patch_embedding.",
        "class_token": "body.class_token",
        "encoder.pos_embedding": "body.position_embedding",
        "encoder.layers.encoder_layer_": "body.blocks.",
        "encoder.ln.": "body.norm.",
        "heads.head.": "head.",
        ".ln_1.": ".norm1.",
        ".ln_2.": ".norm2.",
        ".self_attention.in_proj_": ".query_key_value.",
        ".self_attention.out_proj.": ".projection.",
        ".mlp.0.": ".expand.",
        ".mlp.3.": ".contract.",
    }
    weights = {}
    for name, tensor in theirs.state_dict().items():
        for old, new in renamed.items():
            name = name.replace(old, new)
        weights[name] = tensor
    ours.load_state_dict(weights)
    x = images(4, 3, 16, 16)
    assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_mean_of_patches():  # with the class token away, the features are the mean of the normed tokens
    model = built(lambda: vit(input_shape=(1, 8, 8), num_outputs=5, pool="mean", **SMALL)).eval()
    seen = []
    model.body.norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    features = model.body(images(2, 1, 8, 8))
    assert seen[0].shape == (2, 4, 12)
    assert_close(features, sum(seen[0][:, i] for i in range(4)) / 4)


def test_dropout():
    model = built(lambda: vit(input_shape=(1, 8, 8), num_outputs=5, dropout=0.5, **SMALL))
    x = images(2, 1, 8, 8)
    assert not torch.equal(model(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


def test_refusals():
    with pytest.raises(UsageError, match=r"model\.patch_size=3.*28x14.*1, 2, 7, 14"):
        vit(input_shape=(1, 28, 14), num_outputs=5, patch_size=3)
    with pytest.raises(UsageError, match=r"model\.heads=5.*model\.width=12"):
        vit(input_shape=(1, 8, 8), num_outputs=5, width=12, heads=5)
    with pytest.raises(UsageError, match="model=vit reads images"):
        vit(input_shape=(30,), num_outputs=5)
