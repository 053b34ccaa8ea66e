"""Constant outputs: the same outputs for every input. Its only parameters are these outputs.

What a calibrator or a threshold is that does not look at the input: one temperature for all (temperature scaling), one
quantile for all (split conformal prediction). As a classifier, the class frequencies.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from lossbench.models.model import Model


class Nothing(nn.Module):
    """One feature, which is 1."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_ones((len(x), 1))


def constant_outputs(*, input_shape: Sequence[int], num_outputs: int) -> Model:
    """Inputs of every shape; the outputs start at 0."""
    head = nn.Linear(1, num_outputs, bias=False)
    nn.init.zeros_(head.weight)
    return Model(Nothing(), head, num_features=1)
