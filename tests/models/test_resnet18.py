import pytest
import torch
from torch import nn
from torch.testing import assert_close

from lossbench.errors import UsageError
from lossbench.models.resnet18 import resnet18
from lossbench.torchvision import torchvision
from tests.models.support import built, check_model, images


def test_model():
    check_model(lambda: resnet18(input_shape=(1, 8, 8), num_outputs=4, width=4), (1, 8, 8), 4)


def test_oracle():  # torchvision's ResNet-18 with the stem replaced: outputs, gradients and running statistics
    theirs = torchvision().models.resnet18(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    ours = built(lambda: resnet18(input_shape=(3, 16, 16), num_outputs=10))
    names = {name: ("head" + name[2:] if name.startswith("fc.") else "body." + name) for name in theirs.state_dict()}
    assert sorted(names.values()) == sorted(ours.state_dict())
    shapes = {names[name]: tensor.shape for name, tensor in theirs.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in ours.state_dict().items()}
    ours.load_state_dict({names[name]: tensor for name, tensor in theirs.state_dict().items()})
    x = images(4, 3, 16, 16)
    for training in (True, False):  # in this order: evaluation uses the statistics that training has moved
        ours.train(training)
        theirs.train(training)
        assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    assert_close(ours.body.layer4[1].bn2.running_var, theirs.layer4[1].bn2.running_var, rtol=1e-4, atol=1e-6)
    assert_close(ours.body.layer4[1].bn2.running_mean, theirs.layer4[1].bn2.running_mean, rtol=1e-4, atol=1e-5)


def test_initialisation():  # standard deviations of He-normal weights with fan out: sqrt(2 / (channels out * 9))
    model = built(lambda: resnet18(input_shape=(3, 8, 8), num_outputs=10))
    for weight, out in ((model.body.layer1[0].conv1.weight, 64), (model.body.layer4[0].conv1.weight, 512)):
        assert weight.std().item() == pytest.approx((2 / (out * 9)) ** 0.5, rel=0.02)
    assert torch.equal(model.body.bn1.weight, torch.ones(64))


def test_refusal():
    with pytest.raises(UsageError, match="model=resnet18 reads images"):
        resnet18(input_shape=(30,), num_outputs=4)
