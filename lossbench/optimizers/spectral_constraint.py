"""Spectral constraint: after every step of another optimizer the singular values of the matrices are bounded.

    W = U diag(s) V^T c, c = sqrt(outputs / inputs): s are singular values from root mean square to root mean square
    s <- f(s), with w = bound and s_1 the largest:

    hard_cap       min(s, w)
    soft_cap       y = s - a s^3, then y + a y^3, with the smallest a >= 0 that takes s_1 to w: small ones hardly move.
                   Again while an s exceeds w, which can be where s_1 was above 1.3 w
    normalize      s / max(1, s_1 / w)
    hammer         w in the place of s_1, whether it is larger or smaller
    weight_decay   (1 - strength) s_1 in the place of s_1; bounds nothing

    Tables of embeddings: rows longer than root mean square w are scaled to it (with every f but weight_decay).

base           the optimizer that makes the step: takes parameters, lr and weight_decay; its step needs no closure
lr             >= 0, the base's          weight_decay   >= 0, the base's
constraint     hard_cap, soft_cap, normalize, hammer or weight_decay
bound          > 0                       strength       in [0, 1], of weight_decay
Which          the matrices of linear layers, the head's too; not biases, norms and convolutions
Numerics       by a singular value decomposition in the dtype of the weights
State          the base's
Paper          Newhouse et al. 2025, arXiv:2507.13338
Differs        s is known here, so that a is chosen for s_1 itself; the paper bounds s_1 by what a step of Muon can
               reach, and has f from polynomials of W and power iterations instead of the decomposition
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from annotated_types import Interval
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import NotNegative, Positive, check_base
from lossbench.optimizers.closure import loss_of
from lossbench.optimizers.eager import plain_step
from lossbench.optimizers.groups import roles_of

Constraint = Literal["hard_cap", "soft_cap", "normalize", "hammer", "weight_decay"]


class SpectralConstraint(Optimizer):
    def __init__(
        self,
        params: ParamsT,
        base: Callable[..., Optimizer] = AdamW,
        lr: NotNegative = 1e-3,
        weight_decay: NotNegative = 0.01,
        constraint: Constraint = "soft_cap",
        bound: Positive = 1.0,
        strength: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        own = {"constraint": constraint, "bound": bound, "strength": strength}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **own})
        self.base = base(self.param_groups, lr=lr, weight_decay=weight_decay)
        check_base(self.base, "SpectralConstraint")
        self._share()

    def _share(self) -> None:
        """Groups and state are the base's, so that a schedule or a checkpoint finds one of each."""
        self.param_groups, self.state = self.base.param_groups, self.base.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.base.load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = loss_of(closure)
        plain_step(self.base)()
        for group in self.param_groups:
            for p, role in zip(group["params"], roles_of(group), strict=True):
                if role in ("hidden", "head"):
                    constrain(p, group["constraint"], group["bound"], group["strength"])
                elif role == "lookup" and group["constraint"] != "weight_decay":
                    cap_rows(p, group["bound"])
        return loss


def constrain(matrix: Tensor, constraint: Constraint, bound: float, strength: float) -> None:
    """Change the singular values of a matrix, in place."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    scale = (matrix.shape[0] / matrix.shape[1]) ** 0.5
    s = values / scale
    largest = s[0]
    if constraint == "hard_cap":
        s = s.clamp(max=bound)
    elif constraint == "soft_cap":
        while largest > bound * (1 + 1e-6):
            a = soft_cap_strength(largest, bound)
            s = s - a * s**3
            s = s + a * s**3
            largest = s.max()
    elif constraint == "normalize":
        s = s / (largest / bound).clamp(min=1)
    else:
        s = torch.cat([s.new_full((1,), bound) if constraint == "hammer" else s[:1] * (1 - strength), s[1:]])
    matrix.copy_(left * (s * scale) @ right)


def soft_cap_strength(largest: Tensor, bound: float) -> Tensor:
    """The smallest a >= 0 with y + a y^3 = bound for y = k - a k^3, k the largest singular value; 0 where k <= bound.

    With t = a k^2 it is k (1 - t) (1 + t (1 - t)^2) = bound. The left side is k at t = 0, 0 at t = 1, and falls in
    between, so that bisection finds the only root there, to the last bit.
    """
    low, high = torch.zeros_like(largest), torch.ones_like(largest)
    for _ in range(60):
        t = (low + high) / 2
        above = largest * (1 - t) * (1 + t * (1 - t) ** 2) > bound
        low, high = torch.where(above, t, low), torch.where(above, high, t)
    return torch.where(largest > bound, high / largest.square(), 0.0)


def cap_rows(table: Tensor, bound: float) -> None:
    """Scale the rows [*, D] with a root mean square above the bound to it, in place."""
    size = table.square().mean(-1, keepdim=True).sqrt()
    table.div_((size / bound).clamp(min=1))
