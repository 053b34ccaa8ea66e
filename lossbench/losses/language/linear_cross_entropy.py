"""Cross-entropy on the features and the head's weight: the logits of all tokens are never there.

    l_i = log sum_c exp(a_i[c]) - a_i[y_i]         z_i = z_weight (log sum_c exp(a_i[c]))^2
    a_i = W h_i, or softcap tanh(W h_i / softcap) where the task has a softcap

features        [*, D] inputs h of the head        targets   [*] class indices y
head_weight     [C, D] weight W of the head        softcap   [] bound of the logits, or None; it is the task's
z_weight        >= 0; null leaves the term out: no z-loss
tokens_at_once  whose logits are there at a time; null: as many as have 2**24 logits (64 MiB in float32)
matmul_bits     16: bfloat16 matrix products, as a head under precision=bf16 has them; 32: those of the features
Returns   [*] loss per token, or {"cross_entropy": [*], "z": [*]}
Numerics  a custom gradient, exact: the logits of a slice of the tokens are made again for it, which is one product more
          than plain cross-entropy needs. No second derivatives
Paper     slices and recomputation: Wijmans et al. 2024, arXiv:2411.09009; z-loss: Chowdhery et al. 2022,
          arXiv:2204.02311, with z_weight = 1e-4; soft-capping: Gemma Team 2024, arXiv:2408.00118
Differs   the first paper's kernels also skip gradients that round to 0; here nothing is skipped. cross_entropy with the
          same model gives the same values, with all logits
"""

from typing import Annotated, Literal

from annotated_types import Ge
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import linear_log_p


def linear_cross_entropy(
    features: Float[Tensor, "*b D"],
    head_weight: Float[Tensor, "C D"],
    targets: Int[Tensor, "*b"],
    softcap: Float[Tensor, ""] | None,
    *,
    z_weight: Annotated[float, Ge(0)] | None = None,
    tokens_at_once: Annotated[int, Ge(1)] | None = None,
    matmul_bits: Literal[16, 32] = 32,
) -> Float[Tensor, "*b"] | dict[str, Float[Tensor, "*b"]]:
    log_p, log_normalizer = linear_log_p(
        features, head_weight, targets, softcap, tokens_at_once=tokens_at_once, half_precision=matmul_bits == 16
    )
    if z_weight is None:
        return -log_p
    return {"cross_entropy": -log_p, "z": z_weight * log_normalizer.square()}
