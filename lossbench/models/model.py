"""What every model is: a body that gives features and a head that gives outputs."""

from torch import Tensor, nn


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
