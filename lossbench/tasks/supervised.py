"""What all tasks with inputs, features and outputs share."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

UNIFORMS = 32  # an example, for losses that draw several decisions


class SupervisedTask:
    def features(self, body: Callable, x: Tensor) -> Tensor:
        return body(x)

    def noise(self, x: Tensor, generator: Generator) -> Tensor:
        return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)

    def uniforms(self, x: Tensor, generator: Generator) -> Tensor:
        return torch.rand((len(x), UNIFORMS), generator=generator, device=x.device, dtype=x.dtype)

    def example_noise(self, x: Tensor, generator: Generator) -> Tensor:
        return torch.randn(len(x), generator=generator, device=x.device, dtype=x.dtype)
