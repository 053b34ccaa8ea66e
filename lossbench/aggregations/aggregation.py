"""What a trainer does with an aggregation: the Jacobian of the objectives, and the direction as the gradient."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lossbench import contract
from lossbench.errors import UsageError
from lossbench.objective import sibling, unwrap

Of = Literal["terms", "examples"]
ONE_BY_ONE = 8  # objectives up to which a backward pass each is no slower than all of them in one batched pass


@dataclass(frozen=True)
class Aggregation:
    """A function of the Jacobian with its hyper-parameters bound, and what the objectives are."""

    function: Callable
    of: Of

    @property
    def name(self) -> str:
        return unwrap(self.function).__name__

    @property
    def wanted(self) -> tuple[str, ...]:
        return contract.tensor_names(unwrap(self.function))

    def init_state(self, num_examples: int, num_parameters: int, device: torch.device) -> dict[str, dict[str, Tensor]]:
        """{name: memory} of an aggregation that has one; its module's ``init_state`` makes it."""
        if "state" not in self.wanted:
            return {}
        make = sibling(self.function, "init_state")
        assert make is not None
        return {self.name: make(num_examples=num_examples, num_parameters=num_parameters, device=device)}

    def leave_gradients(
        self, objectives: Tensor, parameters: Sequence[nn.Parameter], given: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """Set ``grad`` of the parameters to the direction; returns the new memory of an aggregation that has one.

        objectives   [m], with gradient
        given        further tensors that the function may name: generator, ids, state
        """
        rows, used = jacobian(objectives, parameters)
        new_state: dict[str, Tensor] = {}
        if bool(torch.isfinite(rows).all()):
            tensors = {**given, "jacobian": rows, "losses": objectives.detach()}
            direction = self.function(*[tensors[name] for name in self.wanted])
            if "state" in self.wanted:
                direction, new_state = direction
        else:  # diverged, which the trainer finds out as it does without an aggregation
            direction = rows.sum(0)
        parts = direction.split([parameter.numel() for parameter in parameters])
        for parameter, part, is_used in zip(parameters, parts, used, strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype) if is_used else None
        return new_state


def jacobian(objectives: Tensor, parameters: Sequence[nn.Parameter]) -> tuple[Tensor, list[bool]]:
    """([m, n] the gradient of every objective with respect to all parameters, whether each parameter has any)."""
    if len(objectives) <= ONE_BY_ONE:
        last = len(objectives) - 1
        each = [
            torch.autograd.grad(objective, parameters, retain_graph=i < last, allow_unused=True)
            for i, objective in enumerate(objectives.unbind())
        ]
        used = [any(gradient is not None for gradient in column) for column in zip(*each, strict=True)]
        full = [
            [p.new_zeros(p.shape) if g is None else g for p, g in zip(parameters, row, strict=True)] for row in each
        ]
        return torch.stack([torch.cat([g.flatten() for g in row]) for row in full]), used
    directions = torch.eye(len(objectives), dtype=objectives.dtype, device=objectives.device)
    found = torch.autograd.grad(objectives, parameters, directions, is_grads_batched=True, allow_unused=True)
    columns = [
        p.new_zeros(len(objectives), p.numel()) if g is None else g.flatten(1)
        for p, g in zip(parameters, found, strict=True)
    ]
    return torch.cat(columns, 1), [g is not None for g in found]


def check(config: Mapping[str, Any]) -> None:
    """Raises UsageError for what an aggregation does not go with."""
    name = config["choices"].get("aggregation") or "..."
    for key, value, why in (
        (
            "accumulation",
            config["accumulation"] > 1,
            "gradients of micro-batches are added before it sees them",
        ),
        ("compile", config["compile"], "one compiled backward pass gives one gradient"),
        ("shard", config["shard"], "no process has whole gradients"),
        ("precision", config["precision"]["loss_scaling"], "loss scaling is for one gradient"),
    ):
        if value:
            shown = config["choices"]["precision"] if key == "precision" else str(config[key]).lower()
            remedy = {"accumulation": "accumulation=1", "precision": "precision=bf16 or precision=fp32"}
            raise UsageError(
                f"{key}={shown} does not go with aggregation={name}: {why}. "
                f"Use {remedy.get(key, f'{key}=false')}, or aggregation=null."
            )
