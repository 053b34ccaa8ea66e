"""ResNet-18 with the stem for small images: 3x3 convolution of stride 1 and no max-pool, so that 32x32 stays 32x32.

Paper     He et al. 2016, arXiv:1512.03385, table 1 (18 layers), projection shortcuts
Differs   the stem, as everybody does for CIFAR; the paper's own CIFAR networks are other, thinner ones
"""

from collections.abc import Sequence
from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from lossbench.models.model import Model, image_shape


class BasicBlock(nn.Module):
    """relu(norm(conv(relu(norm(conv(x))))) + x), where x is projected if size or channels change."""

    def __init__(self, size: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(size, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or size != width:
            self.downsample = nn.Sequential(nn.Conv2d(size, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


class ResNetBody(nn.Module):
    """x [B, channels, height, width] -> features [B, 8 width]"""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._layer(width, width, stride=1)
        self.layer2 = self._layer(width, 2 * width, stride=2)
        self.layer3 = self._layer(2 * width, 4 * width, stride=2)
        self.layer4 = self._layer(4 * width, 8 * width, stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _layer(size: int, width: int, stride: int) -> nn.Sequential:
        return nn.Sequential(BasicBlock(size, width, stride), BasicBlock(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        return y.mean((-2, -1))


def resnet18(*, input_shape: Sequence[int], num_outputs: int, width: Annotated[int, Ge(1)] = 64) -> Model:
    """Images of every size; convolutions start He-normal (fan out), the head as torch.nn.Linear does.

    width   channels of the first stage; 64 is the paper's, 16 trains on a CPU
    """
    channels, _, _ = image_shape(input_shape, "resnet18")
    return Model(ResNetBody(channels, width), nn.Linear(8 * width, num_outputs), num_features=8 * width)
