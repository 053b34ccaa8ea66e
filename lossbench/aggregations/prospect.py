"""Prospect: gradients of a spectral risk of all training examples, from tables of their losses and gradients.

    v = n mean_i (q_i g_i - rho_i h_i) + sum_j rho_j h_j        over the examples i of the batch, j of the training set
    then  rho_i <- q_i,  h_i <- g_i,  l_i <- losses_i
    q = argmax_q <q, l> - n smoothing / 2 |q - 1/n|^2  over the permutahedron of the risk's weights

g_i are the gradients of the batch, h_i what the table has of them. v is an unbiased estimate of the risk's gradient
for these weights q, and its variance vanishes as the model settles; the weights of a mini-batch's own losses
(reweighting=[spectral_risk]) are biased. Wants aggregation_of=examples, memory for a gradient of each training example,
and batch_size=1 for the paper's algorithm.

jacobian    [m, n] the gradient of each example of the batch
losses      [m] their losses        ids   [m] their places in the training set
state       {"losses": [N], "gradients": [N, n], "rho": [N], "sum": [n]}; the tables start empty
risk        superquantile, extremile or exponential; see lossbench/spectral.py
level       of the risk: superquantile 0.5 is the mean of the worse half
smoothing   >= 0: nu, the shift cost
Returns     [n] v, and the new state
Paper       Mehta, Roulet, Pillutla and Harchaoui 2023, arXiv:2310.13863; 0.5-superquantile, 2-extremile, 1-exponential
            and nu = 1 are its settings
Differs     the paper fills the tables in a pass over all examples before the first step; here they fill in the first
            epoch, with 0 for what was not seen. Its ridge term is the optimizer's weight_decay
"""

from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.spectral import Risk, spectral_weights, spectrum


def init_state(*, num_examples: int, num_parameters: int, device: torch.device | None = None) -> dict[str, Tensor]:
    zeros = torch.zeros(num_examples, device=device)
    table = torch.zeros(num_examples, num_parameters, device=device)
    return {"losses": zeros, "gradients": table, "rho": zeros.clone(), "sum": table.new_zeros(num_parameters)}


def prospect(
    jacobian: Float[Tensor, "m n"],
    losses: Float[Tensor, "m"],
    ids: Int[Tensor, "m"],
    state: dict[str, Tensor],
    *,
    risk: Risk = "superquantile",
    level: Annotated[float, Ge(0)] = 0.5,
    smoothing: Annotated[float, Ge(0)] = 1.0,
) -> tuple[Float[Tensor, "n"], dict[str, Tensor]]:
    n = len(state["losses"])
    q = spectral_weights(state["losses"], spectrum(n, risk, level), smoothing)[ids]
    changes = q.unsqueeze(1) * jacobian - state["rho"][ids].unsqueeze(1) * state["gradients"][ids]
    direction = n * changes.mean(0) + state["sum"]
    # In place: the table is as large as all gradients of an epoch, and a copy a step would cost more than the step.
    state["gradients"][ids] = jacobian
    return direction, {
        "losses": state["losses"].index_copy(0, ids, losses),
        "gradients": state["gradients"],
        "rho": state["rho"].index_copy(0, ids, q),
        "sum": state["sum"] + changes.sum(0),
    }
