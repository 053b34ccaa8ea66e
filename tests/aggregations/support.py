"""Jacobians for the tests of aggregations, and the quadratic programmes solved by scipy's general solver."""

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

SHAPES = [(2, 5), (3, 3), (4, 9), (7, 4)]  # the last has more objectives than parameters


def jacobian(shape: tuple[int, int] = (4, 9), seed: int = 0, drift: float = 0.3) -> Tensor:
    """Random gradients that share a little of one direction, so that some of them conflict and some do not."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(shape, generator=generator, dtype=torch.float64)
    return rows + drift * torch.randn(shape[1], generator=generator, dtype=torch.float64)


def projected(rows: Tensor, vector: Tensor) -> Tensor:
    """argmin_y |y - vector|^2 over rows @ y >= 0, in the space of the parameters."""
    J, x = rows.numpy(), vector.numpy()
    found = minimize(
        lambda y: 0.5 * ((y - x) ** 2).sum(),
        np.zeros_like(x),
        jac=lambda y: y - x,
        constraints={"type": "ineq", "fun": lambda y: J @ y, "jac": lambda y: J},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    assert found.success
    return torch.from_numpy(found.x)
