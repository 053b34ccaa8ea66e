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
        unread = _drawn(logits(features[:, -1]), uniforms[:, place]).unsqueeze(1)
        tokens = torch.cat([tokens, unread], 1)
    return tokens


@torch.no_grad()
def completed(
    body: Any,
    logits: Callable[[Tensor], Tensor],
    prompts: Tensor,
    lengths: Tensor,
    uniforms: Tensor,
    *,
    end: int,
    most: int,
) -> Tensor:
    """Prompts of different lengths with the model's completions behind them, [N, L]; from the end of a completion on,
    the end token. A function of the numbers uniforms [N, L] from U(0, 1), as ``continued`` is.

    Nothing is padded in front of a prompt: all are read from their first token, and where one goes on while others are
    being completed, its own tokens take the place of what was drawn.

    body      of the model, as in ``continued``
    prompts   [N, P]        lengths   [N] of each prompt, from 1 to P        L is at least P
    most      tokens of a completion
    """
    count, width = uniforms.shape
    tokens = torch.full((count, width), end, dtype=torch.long, device=prompts.device)
    tokens[:, : prompts.shape[1]] = prompts
    cache = body.cache() if hasattr(body, "cache") else None
    first = int(lengths.min())
    unread = tokens[:, :first]
    ended = torch.zeros(count, dtype=torch.bool, device=prompts.device)
    looks_free = prompts.device.type == "cpu"  # elsewhere a look at whether all have ended waits for the device
    for place in range(first, width):
        features = body(unread, cache) if cache is not None else body(tokens[:, :place])
        drawn = _drawn(logits(features[:, -1]), uniforms[:, place])
        drawn = torch.where(ended | (place >= lengths + most), end, drawn)
        unread = torch.where(place < lengths, tokens[:, place], drawn).unsqueeze(1)
        tokens[:, place] = unread.squeeze(1)
        ended = ended | ((place >= lengths) & (tokens[:, place] == end))
        if (looks_free or place % 16 == 0) and bool(ended.all()):
            break
    tokens[:, place + 1 :] = end
    return tokens


def _drawn(logits: Tensor, uniforms: Tensor) -> Tensor:
    """[N] the token at which the distribution function of the logits [N, C] reaches the numbers [N]."""
    p = logits.double().softmax(-1)
    return (p.cumsum(-1) < uniforms.unsqueeze(-1)).sum(-1).clamp(max=p.shape[-1] - 1)
