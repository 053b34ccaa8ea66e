"""Images turned about their middle, for data sets and variants."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def rotated(images: Tensor, degrees: float) -> Tensor:
    """The images [n, channels, height, width], turned counter-clockwise about their middle (bilinear, 0 outside)."""
    height, width = images.shape[-2:]
    angle = math.radians(degrees)
    cos, sin, ratio = math.cos(angle), math.sin(angle), height / width
    # Coordinates run from -1 to 1 on both axes: the ratio keeps the angle right where the image is no square.
    matrix = torch.tensor([[cos, -sin * ratio, 0.0], [sin / ratio, cos, 0.0]]).expand(len(images), -1, -1)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
