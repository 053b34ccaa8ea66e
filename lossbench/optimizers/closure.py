"""What the step of every optimizer begins with."""

from collections.abc import Callable
from typing import Any

import torch


def loss_of(closure: Callable[[], Any] | None) -> Any:
    """What the closure returns, which ``step`` returns too; None without one.

    A step runs without gradients, and the closure computes them.
    """
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
