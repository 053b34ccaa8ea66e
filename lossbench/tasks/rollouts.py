"""What tasks share whose models write tokens while they are trained or measured."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def continued(body: Any, logits: Callable[[Tensor], Tensor], tokens: Tensor, uniforms: Tensor) -> Tensor:
    """The tokens [B, P] and what the model writes behind them, [B, T] in all: a function of the numbers uniforms [B, T]
    from U(0, 1), by inversion of the model's distribution functions.

    logits    of features: the model's head
    body      of the model. One that is no module (mixed precision, stacked runs) has no cache: it reads all tokens
              again for each new one
    """
    cache = body.cache() if hasattr(body, "cache") else None
    unread = tokens
    for place in range(tokens.shape[1], uniforms.shape[1]):
        features = body(unread, cache) if cache is not None else body(tokens)
        p = logits(features[:, -1]).double().softmax(-1)
        drawn = (p.cumsum(-1) < uniforms[:, place, None]).sum(-1, keepdim=True)
        unread = drawn.clamp(max=p.shape[-1] - 1)
        tokens = torch.cat([tokens, unread], 1)
    return tokens
