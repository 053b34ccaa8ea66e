"""What every model is: a body that gives features and a head that gives outputs."""

from collections.abc import Sequence

from torch import Tensor, nn

from lossbench.errors import UsageError


class Model(nn.Module):
    """``head(body(x))``. Tasks call the two parts by themselves, so that a loss can have the features, and so that a
    loss over a large vocabulary can work on features and head without ever forming the logits.

    body    x [B, ...] -> features [*, D]
    head    features [*, D] -> outputs [*, C]
    """

    def __init__(self, body: nn.Module, head: nn.Module, num_features: int):
        super().__init__()
        self.body = body
        self.head = head
        self.num_features = num_features

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def image_shape(input_shape: Sequence[int], model: str) -> tuple[int, int, int]:
    """(channels, height, width) of the inputs, for a model that can only read images.

    Raises UsageError where the data set has something else, such as rows of features.
    """
    if len(input_shape) != 3:
        raise UsageError(
            f"model={model} reads images [channels, height, width], and the inputs of this data set have the shape "
            f"{list(input_shape)}. Choose model=mlp or model=linear, or a data set of images."
        )
    channels, height, width = input_shape
    return channels, height, width
