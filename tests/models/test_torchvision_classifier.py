import pytest
import torch
from torch import nn

from lossbench.errors import UsageError
from lossbench.models.torchvision_classifier import torchvision_classifier
from lossbench.torchvision import torchvision
from tests.models.support import built, check_model, images


def build(name="resnet18", shape=(3, 32, 32), num_outputs=4, **hyperparameters):
    return torchvision_classifier(input_shape=shape, num_outputs=num_outputs, name=name, **hyperparameters)


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
def test_model(name, shape):
    check_model(lambda: build(name, shape), shape, 4)


@pytest.mark.parametrize(("name", "side"), [("mobilenet_v3_small", 32), ("vit_b_32", 64), ("densenet121", 32)])
def test_same_as_torchvision(name, side):  # the same seed gives the same weights, cut in two
    ours = built(lambda: build(name, (3, side, side))).eval()
    options = {"image_size": side} if name.startswith("vit_") else {}
    theirs = built(lambda: torchvision().models.get_model(name, num_classes=4, **options)).eval()
    nn.init.ones_(
        ours.head.weight
    )  # torchvision starts the head of a vision transformer at 0: outputs would not differ
    nn.init.ones_([m for m in theirs.modules() if isinstance(m, nn.Linear)][-1].weight)
    x = images(2, 3, side, side)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_building_leaves_no_trace():  # one image was tried: in training mode still, running statistics as at the start
    model = build()
    assert all(module.training for module in model.modules())
    assert not model.body.bn1.running_mean.any() and model.body.bn1.num_batches_tracked == 0
    assert all(p.grad is None for p in model.parameters())


def test_grey_is_repeated():
    model = built(lambda: build(shape=(1, 32, 32))).eval()
    colour = built(lambda: build()).eval()
    x = images(2, 1, 32, 32)
    assert torch.equal(model(x), colour(x.repeat(1, 3, 1, 1)))


def test_auxiliary_heads_are_off():  # in training too, where torchvision would return a tuple
    model = build("googlenet")
    assert model.train()(images(2, 3, 32, 32)).shape == (2, 4)
    assert not [name for name, _ in model.named_parameters() if "aux" in name]


def test_pretrained(monkeypatch):
    """Weights for 1,000 classes stay in the body; the head is new. The download is replaced by random weights."""
    models = torchvision().models
    stored = built(lambda: models.shufflenet_v2_x0_5(), seed=3).state_dict()
    monkeypatch.setattr(models.ShuffleNet_V2_X0_5_Weights, "get_state_dict", lambda self, *args, **kwargs: stored)
    model = build("shufflenet_v2_x0_5", weights="DEFAULT")
    assert torch.equal(model.body.conv1[0].weight, stored["conv1.0.weight"])
    assert model.head.out_features == 4
    model = build("shufflenet_v2_x0_5", weights="IMAGENET1K_V1", num_outputs=1000)
    assert torch.equal(model.head.weight, stored["fc.weight"])


def test_refusals(monkeypatch):
    with pytest.raises(UsageError, match=r"model\.name=resnet81.*did you mean 'resnet18'"):
        build("resnet81")
    with pytest.raises(UsageError, match=r"model\.name=squeezenet1_1 .*linear layer"):
        build("squeezenet1_1")
    with pytest.raises(UsageError, match=r"model\.weights=IMAGENET1K_V7.*did you mean 'IMAGENET1K_V1'"):
        build(weights="IMAGENET1K_V7")
    with pytest.raises(UsageError, match="images with 1 or 3 channels"):
        build(shape=(4, 32, 32))
    with pytest.raises(UsageError, match="reads images"):
        build(shape=(30,))
    with pytest.raises(UsageError, match=r"model\.name=vit_b_32 cannot.*28"):
        build("vit_b_32", (3, 28, 28))
    with pytest.raises(UsageError, match=r"model\.name=alexnet cannot read images of 8x8"):
        build("alexnet", (3, 8, 8))
    weights = torchvision().models.ResNet18_Weights
    offline = OSError("no network")
    monkeypatch.setattr(weights, "get_state_dict", lambda *args, **kwargs: (_ for _ in ()).throw(offline))
    with pytest.raises(UsageError, match=r"model\.weights=DEFAULT.*no network.*TORCH_HOME"):
        build(weights="DEFAULT")
