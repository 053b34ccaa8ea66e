"""What optimizers share that have a rule for matrices and leave all else to another optimizer."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import check_base
from lossbench.optimizers.closure import loss_of
from lossbench.optimizers.eager import plain_step
from lossbench.optimizers.groups import roles_of


class MatrixOptimizer(Optimizer):
    """The hidden matrices go to one optimizer, everything else to another; both have the same lr and weight decay.

    make_inner    of parameter groups: the optimizer of the hidden matrices
    base          the optimizer of the others: takes parameters, lr and weight_decay; its step needs no closure

    Groups come with ``roles`` (lossbench/optimizers/groups.py); without them every matrix is hidden. Groups and state
    are those of the two, so that a schedule or a checkpoint finds one of each.
    """

    def __init__(
        self,
        params: ParamsT,
        make_inner: Callable[..., Optimizer],
        base: Callable[..., Optimizer],
        lr: float,
        weight_decay: float,
    ):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.param_groups = _divided(self.param_groups)
        own = [group for group in self.param_groups if group["hidden"]]
        others = [group for group in self.param_groups if not group["hidden"]]
        self.inner = make_inner(own, lr=lr, weight_decay=weight_decay) if own else None
        self.base = base(others, lr=lr, weight_decay=weight_decay) if others else None
        if self.base is not None:
            check_base(self.base, type(self).__name__)
        self.parts = [optimizer for optimizer in (self.inner, self.base) if optimizer is not None]
        self.param_groups = [group for optimizer in self.parts for group in optimizer.param_groups]
        self._share()

    def _share(self) -> None:
        if self.inner is not None:
            self.inner.param_groups = [group for group in self.param_groups if group["hidden"]]
        if self.base is not None:
            self.base.param_groups = [group for group in self.param_groups if not group["hidden"]]
        for optimizer in self.parts:
            optimizer.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = loss_of(closure)
        for optimizer in self.parts:
            plain_step(optimizer)()
        return loss


def _divided(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each group as two: its hidden matrices, and its other parameters; ``hidden`` says which it is."""
    found = []
    for hidden in (True, False):
        for group in groups:
            pairs = zip(group["params"], roles_of(group), strict=True)
            kept = [(p, role) for p, role in pairs if (role == "hidden") == hidden]
            if kept:
                params, roles = map(list, zip(*kept, strict=True))
                found.append({**group, "params": params, "roles": roles, "hidden": hidden})
    return found
