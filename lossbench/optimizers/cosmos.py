"""COSMOS: for every hidden matrix Adam within the leading directions of its gradients and Muon within the others; all
other parameters go to another optimizer.

    G the gradient of W [m, n]; r = rank; U [n, r] orthonormal columns; S [r, r]; V [m, r]; M momentum; M, V start at 0

    first step    U = the first r right singular vectors of G, S = (1 - beta2) U^T G^T G U
    later         U' = QR(beta2 U S + (1 - beta2) G^T G U), T = U^T U', S <- beta2 T^T S T + (1 - beta2) (G U')^T G U'
    V <- beta2 V + (1 - beta2) (G U)^2
    M <- beta1 M + G
    N = (G + beta1 M) / (1 + beta1 (1 - beta1^t) / (1 - beta1))
    A = (N U / (sqrt(V / (1 - beta2^t)) + eps)) U^T
    B = orthogonal(N - N U U^T), then B <- sqrt(m n) B / |B|
    C = A + gamma B
    W <- W - lr (ratio sqrt(m n) C / |C| + weight_decay W)

    orthogonal(X): X / |X|, then 5 times X <- 3.4445 X - 4.7750 A X + 2.0315 A A X with A = X X^T

base       the optimizer of all that is no hidden matrix, with lr and weight_decay as here
lr         >= 0            weight_decay   >= 0, decoupled
betas      each in [0, 1)
eps        > 0             rank           >= 1, at most n
gamma      >= 0, the weight of the other directions
ratio      >= 0, of a matrix's root mean square step to lr
Numerics   the iteration runs in the dtype of the weights; |B| and |C| + 1e-30, so that a gradient of 0 moves nothing.
           Where the gradient has no more than r directions, N - N U U^T is rounding, and B is 0
State      step; momentum_buffer, M; basis, U; covariance, S; projected_avg_sq, V; the base's
Paper      Liu et al. 2025, arXiv:2502.17410
Differs    the authors' code has bfloat16 in the iteration; it takes all matrices of at most 10,000 rows, the head and
           the embeddings too, and its Adam for other parameters has 0.9 and 0.1 in the place of beta1 and 1 - beta1.
           Where N - N U U^T is only rounding, it has the rounding made orthogonal and scaled up as B
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import BelowOne, NotNegative, Positive
from lossbench.optimizers.matrices import MatrixOptimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
NEGLIGIBLE = 100  # roundings
TINY = 1e-30


class COSMOS(MatrixOptimizer):
    def __init__(
        self,
        params: ParamsT,
        base: Callable[..., Optimizer] = AdamW,
        lr: NotNegative = 1e-3,
        weight_decay: NotNegative = 0.01,
        betas: tuple[BelowOne, BelowOne] = (0.95, 0.95),
        eps: Positive = 1e-8,
        rank: Annotated[int, Ge(1)] = 64,
        gamma: NotNegative = 0.2,
        ratio: NotNegative = 0.2,
    ):
        rule = {"betas": tuple(betas), "eps": eps, "rank": rank, "gamma": gamma, "ratio": ratio}
        super().__init__(params, partial(_MatrixCOSMOS, rule=rule), base, lr, weight_decay)


class _MatrixCOSMOS(Optimizer):
    """The matrices' part."""

    def __init__(self, params: ParamsT, lr: float, weight_decay: float, rule: dict[str, Any]):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **rule})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    direction = self._direction(p.grad, self.state[p], group)
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.sub_(direction, alpha=group["lr"] * group["ratio"])

    def _direction(self, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """sqrt(m n) C / |C|."""
        beta1, beta2 = group["betas"]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["momentum_buffer"] = torch.zeros_like(gradient)
            _, _, right = torch.linalg.svd(gradient, full_matrices=False)
            state["basis"] = right[: group["rank"]].T.contiguous()
            projected = gradient @ state["basis"]
            state["covariance"] = (1 - beta2) * projected.T @ projected
            state["projected_avg_sq"] = torch.zeros_like(projected)
        else:
            old, covariance = state["basis"], state["covariance"]
            mixed = beta2 * old @ covariance + (1 - beta2) * gradient.T @ (gradient @ old)
            basis, _ = torch.linalg.qr(mixed)
            turn, projected = old.T @ basis, gradient @ basis
            state["covariance"] = beta2 * turn.T @ covariance @ turn + (1 - beta2) * projected.T @ projected
            state["basis"] = basis
        state["step"] += 1
        time, basis = state["step"].item(), state["basis"]
        squares = state["projected_avg_sq"].mul_(beta2).addcmul_(projected, projected, value=1 - beta2)
        momentum = state["momentum_buffer"].mul_(beta1).add_(gradient)
        weights = 1 + beta1 * (1 - beta1**time) / (1 - beta1)
        average = (gradient + beta1 * momentum) / weights
        within = average @ basis
        adam = within / ((squares / (1 - beta2**time)).sqrt() + group["eps"]) @ basis.T
        rest = average - within @ basis.T
        rounding = NEGLIGIBLE * torch.finfo(rest.dtype).eps * torch.linalg.matrix_norm(average)
        rest = torch.where(torch.linalg.matrix_norm(rest) > rounding, rest, 0.0)
        return _of_size(adam + group["gamma"] * _of_size(orthogonal(rest)))


def orthogonal(matrix: Tensor) -> Tensor:
    """About U V^T of the singular value decomposition, by Newton-Schulz iterations."""
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (torch.linalg.matrix_norm(wide) + TINY)
    for _ in range(ITERATIONS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


def _of_size(matrix: Tensor) -> Tensor:
    """With a root mean square of 1."""
    return matrix * (matrix.numel() ** 0.5 / (torch.linalg.matrix_norm(matrix) + TINY))
