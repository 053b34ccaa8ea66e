"""Projection onto the dual cone of the gradients: the directions that conflict with none of them."""

import torch
from torch import Tensor


def unit_rows(jacobian: Tensor) -> tuple[Tensor, Tensor]:
    """(the rows with norm 1, or 0 where they are 0 [m, n]; their norms [m]), in float64."""
    rows = jacobian.double()
    norms = rows.norm(dim=1)
    return rows / torch.where(norms > 0, norms, 1.0).unsqueeze(1), norms


def smallest(cosines: Tensor, lower: Tensor) -> Tensor:
    """argmin v^T C v over v >= lower [m]; C [m, m] positive semi-definite, float64.

    With C = A^T A and v = lower + z this is a least-squares problem in z >= 0, which an active-set method solves
    exactly, after finitely many changes of the set; C may be singular.
    """
    from scipy.optimize import nnls

    factor = square_root(cosines)
    steps = 30 * len(lower)  # ten times what scipy allows by itself
    z, _ = nnls(factor.cpu().numpy(), -(factor @ lower).cpu().numpy(), maxiter=steps)
    return lower + torch.from_numpy(z).to(lower)


def square_root(gramian: Tensor) -> Tensor:
    """A with A^T A = G, of a positive semi-definite G."""
    values, vectors = torch.linalg.eigh(gramian)
    return values.clamp(min=0).sqrt().unsqueeze(1) * vectors.mT
