"""torch.compile for both engines: the model's passes, the loss and their gradients as one compiled program.

Training batches all have one shape, so each run is compiled once; evaluation, which has others, is not compiled.
Imported only where a run asks for it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

BACKEND = "inductor"


def compiled(function: Callable, mode: bool | str, device: torch.device) -> Callable:
    """The function, compiled when it is first called. The mode is that of the run's config: true, or graphs."""
    # A stack of many losses has a program for each of them; beyond the limit the rest would not be compiled.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 256)
    if BACKEND == "inductor" and uses_graphs(mode, device):
        return torch.compile(function, mode="reduce-overhead")
    return torch.compile(function, backend=BACKEND)


def uses_graphs(mode: bool | str, device: torch.device) -> bool:
    return mode == "graphs" and device.type == "cuda"


def begin_step() -> None:
    """With CUDA graphs: what the last step's graphs have returned may be overwritten from here on."""
    torch.compiler.cudagraph_mark_step_begin()


def kept(tree: Any) -> Any:
    """Copies of the tensors that outlive the step, for what a graph has returned."""
    return tree_map_only(Tensor, torch.clone, tree)
