"""What the augmentations share: (batch, generator, *, hyper-parameters) -> batch, on the batch's own device.

The generator lives on the device of x. Every example draws its own numbers, all at once: no loop over examples, and no
number is read back from the device. The tensors of the given batch stay as they are.
"""

import torch
from torch import Generator, Tensor

from lossbench.errors import UsageError

Batch = dict[str, Tensor]
NOT_LABELS = ("x", "ids")


def images(batch: Batch, name: str) -> Tensor:
    """x of the batch, [B, channels, height, width]."""
    x = batch["x"]
    if x.ndim != 4:
        raise UsageError(
            f"augmentation={name}: it needs images, and one input of this data set has the shape {list(x.shape[1:])}. "
            "Choose a data set of images, or leave it out."
        )
    return x


def numbers(batch: Batch, name: str) -> Tensor:
    """x of the batch, which may have any shape and must not be tokens."""
    x = batch["x"]
    if not x.is_floating_point():
        raise UsageError(
            f"augmentation={name}: it changes numbers, and the inputs of this data set are tokens. Leave it out."
        )
    return x


def boxes(middle: Tensor, side: Tensor, length: int) -> Tensor:
    """Which of ``length`` pixels lie within ``side`` pixels around the middle, cut off at the border: [B, length].

    middle, side   whole numbers [B]; of an even side, one pixel more lies before the middle than after it
    """
    pixels = torch.arange(length, device=middle.device)
    start = (middle - side // 2).unsqueeze(1)
    return (pixels >= start) & (pixels < start + side.unsqueeze(1))


def beta(alpha: float, n: int, generator: Generator, device: torch.device) -> Tensor:
    """n numbers from Beta(alpha, alpha), float32.

    As g / (g + h) of two from Gamma(alpha). torch.distributions takes no generator; this is the operator that it calls.
    Gamma(alpha) itself underflows for small alpha, so its logarithm is used: Gamma(alpha) is Gamma(alpha + 1) times
    U^(1 / alpha), with U uniform.
    """
    shape = (2, n)
    gamma = torch._standard_gamma(torch.full(shape, alpha + 1.0, device=device), generator=generator)
    uniform = 1 - torch.rand(shape, generator=generator, device=device)  # in (0, 1]
    first, second = gamma.log() + uniform.log() / alpha
    return torch.sigmoid(first - second)


def shuffled(x: Tensor, generator: Generator) -> Tensor:
    """A random order of the examples of the batch: the partner of each, [B]."""
    return torch.randperm(len(x), generator=generator, device=x.device)


def mixed(batch: Batch, x: Tensor, partner: Tensor, partner_weight: Tensor, name: str) -> Batch:
    """The batch with mixed inputs x: labels as they were, those of the partners and their weight beside them."""
    if "partner" in batch:
        raise UsageError(f"augmentation={name}: the labels are mixed already. Choose one of mixup and cutmix.")
    labels = {key: values[partner] for key, values in batch.items() if key not in NOT_LABELS}
    return {**batch, "x": x, "partner": labels, "partner_weight": partner_weight}  # type: ignore[dict-item]
