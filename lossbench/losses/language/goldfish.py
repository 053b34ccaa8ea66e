"""Goldfish: cross-entropy that leaves out a part of the tokens, the same ones after the same context.

    l_t = k / (k - 1) kept_t (-log p_t[y_t])        kept_t = [u_t >= 1 / k], u_t = hash(y_{t-context} ... y_{t-1})
    p_t = softmax(logits_t)                         the first tokens, with fewer than context before them, are kept

logits    [B, T, C] unnormalised scores             targets   [B, T] class indices y
k         > 1: one token in k is left out, on average
context   >= 1: tokens before a target that decide about it; the token itself does not
strategy  hash: as above; static: every k-th token of a sequence, for a whole k
Returns   [B, T] loss per token
Numerics  the hash is a polynomial of the tokens modulo the prime 2^31 - 1, multiplied and shifted twice
Paper     Hans et al. 2024, arXiv:2406.10209; k = 4 and context = 13 are theirs
Differs   the paper divides by the number of kept tokens, here the reduction divides by all and k / (k - 1) makes up for
          it in expectation: a token's loss depends on its own sequence only. Context is counted in targets, so that one
          token more is kept at the beginning of a sequence. The authors' code hashes windows that end with the token
          itself; here they end before it, as the paper has it
"""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Tensor

from lossbench.ops import true_class_log_p

PRIME = 2**31 - 1
FACTOR = 1_103_515_245


def goldfish(
    logits: Float[Tensor, "B T C"],
    targets: Int[Tensor, "B T"],
    *,
    k: Annotated[float, Gt(1)] = 4.0,
    context: Annotated[int, Ge(1)] = 13,
    strategy: Literal["hash", "static"] = "hash",
) -> Float[Tensor, "B T"]:
    if strategy == "static":
        places = torch.arange(targets.shape[1], device=targets.device)
        kept = ((places + 1).remainder(k) != 0).expand(targets.shape)
    else:
        kept = _hash(targets, context) >= 1 / k
    scale = k / (k - 1)
    return -scale * torch.where(kept, true_class_log_p(logits, targets), 0.0)


def _hash(targets: Int[Tensor, "B T"], context: int) -> Float[Tensor, "B T"]:
    """A number in [0, 1] for every place from the ``context`` tokens before it, 1 where there are fewer."""
    length = targets.shape[1]
    if length <= context:
        return torch.ones(targets.shape, dtype=torch.float64, device=targets.device)
    state = torch.zeros_like(targets[:, context:])
    for lag in range(context, 0, -1):
        state = (state * FACTOR + targets[:, context - lag : length - lag] + 1) % PRIME
    for _ in range(2):  # sequences that differ in their last tokens only are neighbours until here
        state = (state * FACTOR + 12345) % PRIME
        state = (state ^ (state >> 15)) % PRIME
    hashed = state.double() / PRIME
    return torch.cat([torch.ones_like(hashed[:, :1]).expand(-1, context), hashed], 1)
