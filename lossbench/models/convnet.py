"""Small convolutional network: convolution, norm and ReLU per block, half the size each time, mean over space."""

from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Ge, Len
from torch import nn

from lossbench.errors import UsageError
from lossbench.models.model import Model, image_shape
from lossbench.models.pooling import GatedPooling, MixedPooling, TreePooling


def convnet(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    widths: Annotated[Sequence[Annotated[int, Ge(1)]], Len(1)] = (32, 64, 128),
    norm: Literal["group", "batch", "none"] = "group",
    groups: Annotated[int, Ge(1)] = 8,
    pooling: Literal["max", "average", "mixed", "gated", "tree"] = "max",
) -> Model:
    """Images of every size; weights start as torch.nn.Conv2d's and torch.nn.Linear's do.

    widths   channels of each block
    norm     group treats every example by itself; batch uses statistics of the batch in training and running ones after
    groups   of the group norm; must divide every width
    pooling  between the blocks; mixed, gated and tree are learned, see lossbench/models/pooling.py
    """
    size, _, _ = image_shape(input_shape, "convnet")
    layers: list[nn.Module] = []
    for i, width in enumerate(widths):
        if i:
            layers.append(_pool(pooling))
        layers.append(nn.Conv2d(size, width, 3, padding=1, bias=norm == "none"))  # a norm has its own bias
        if norm == "group":
            if width % groups:
                raise UsageError(
                    f"model.groups={groups} does not divide the width {width} in model.widths={list(widths)}. "
                    "Give a model.groups that divides every width, or model.norm=batch."
                )
            layers.append(nn.GroupNorm(groups, width))
        elif norm == "batch":
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU())
        size = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = Model(nn.Sequential(*layers), nn.Linear(size, num_outputs), num_features=size)
    for layer in layers:
        if isinstance(layer, TreePooling):
            layer.draw()  # last: with every pooling the other layers have the same initial weights
    return model


def _pool(pooling: str) -> nn.Module:
    """Half the size, rounded up, so that a side of 1 stays 1."""
    match pooling:
        case "average":
            return nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
        case "mixed":
            return MixedPooling()
        case "gated":
            return GatedPooling()
        case "tree":
            return TreePooling()
    return nn.MaxPool2d(2, ceil_mode=True)
