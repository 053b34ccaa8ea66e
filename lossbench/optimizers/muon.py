"""Muon: the momentum of every hidden matrix is made orthogonal; all other parameters go to another optimizer.

    B <- momentum B + G                    G the gradient of a matrix W [outputs, inputs]; B starts at 0
    N = G + momentum B with nesterov, else B
    O = N / |N|, then ns_steps times, with A = O O^T:  O <- 3.4445 O - 4.7750 A O + 2.0315 A A O
    W <- W - lr (scale O + weight_decay W)

    scale match_rms_adamw   0.2 sqrt(max(outputs, inputs)): the step is as long as AdamW's, and takes its lr and decay
    scale original          sqrt(max(1, outputs / inputs))

    O has about the singular vectors of N and singular values in 0.7 .. 1.2; the smallest may stay small.

base       the optimizer of all that is no hidden matrix: embeddings, the head, norms, biases, convolutions, parameters
           of the loss; with lr and weight_decay as here
lr         >= 0            weight_decay   >= 0, decoupled
momentum   in [0, 1)       nesterov       true or false        ns_steps   >= 1
Numerics   torch's: the iteration runs in bfloat16 on every device, so that O is within about 0.01 of the equations'
State      momentum_buffer, B; the base's
Paper      Jordan et al. 2024, Muon: an optimizer for hidden layers; match_rms_adamw: Liu et al. 2025, arXiv:2502.16982,
           eq. 4
Differs    nothing; torch.optim.Muon makes the step of the matrices
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from annotated_types import Ge
from torch.optim import AdamW, Optimizer
from torch.optim import Muon as MatrixMuon
from torch.optim.optimizer import ParamsT

from lossbench.optimizers.check import BelowOne, NotNegative
from lossbench.optimizers.matrices import MatrixOptimizer


class Muon(MatrixOptimizer):
    def __init__(
        self,
        params: ParamsT,
        base: Callable[..., Optimizer] = AdamW,
        lr: NotNegative = 1e-3,
        weight_decay: NotNegative = 0.01,
        momentum: BelowOne = 0.95,
        nesterov: bool = True,
        ns_steps: Annotated[int, Ge(1)] = 5,
        scale: Literal["match_rms_adamw", "original"] = "match_rms_adamw",
    ):
        rule = partial(MatrixMuon, momentum=momentum, nesterov=nesterov, ns_steps=ns_steps, adjust_lr_fn=scale)
        super().__init__(params, rule, base, lr, weight_decay)
