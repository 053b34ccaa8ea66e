"""What all tasks with inputs, features and outputs share."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor


class SupervisedTask:
    def features(self, body: Callable, x: Tensor) -> Tensor:
        return body(x)

    def noise(self, x: Tensor, generator: Generator) -> Tensor:
        return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)

    def example_noise(self, x: Tensor, generator: Generator) -> Tensor:
        return torch.randn(len(x), generator=generator, device=x.device, dtype=x.dtype)
