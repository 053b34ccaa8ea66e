"""torch's optimizers without what torch.compile needs of them.

torch wraps the methods of its optimizers for torch.compile, and the first call of a wrapped one imports the compiler:
as long again as importing torch itself. They also cost a few percent of the step of a small model. Where nothing is
compiled they do nothing, so they are taken off: what runs is torch's own code, and its result is the same bit for bit.
"""

import inspect
from collections.abc import Callable

import torch
from torch.optim import Optimizer

WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def skip_compiler() -> None:
    """Before an optimizer is made: let the methods that every optimizer has run without the compiler.

    Each wrapper asks the compiler once for a version of its function that the compiler leaves alone, and keeps that
    version on the function. Without a compiler it is the function itself. A torch that keeps it elsewhere imports the
    compiler as before.
    """
    for name in WRAPPED:
        function = inspect.unwrap(getattr(Optimizer, name))
        vars(function).setdefault("__dynamo_disable", function)


def plain_step(optimizer: Optimizer) -> Callable:
    """``optimizer.step`` without profiling, hooks and graph breaks; called with what ``step`` is called with."""
    if optimizer.defaults.get("differentiable"):  # the wrapper has an effect: the step is part of the graph
        return optimizer.step
    return torch.no_grad()(inspect.unwrap(type(optimizer).step).__get__(optimizer))
