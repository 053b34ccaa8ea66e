"""N-gram table: logits of the next token for every place and every choice of the last few tokens there.

Nothing is shared between contexts. Where ``order`` is the length of the sequences a context is the whole prefix: then
every distribution over sequences is one of the model's, and an optimum in closed form can be reached. Logits start at
0, so that the model begins as the uniform distribution.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from lossbench.errors import UsageError
from lossbench.models.model import Model

MOST_LOGITS = 2**26


class Contexts(nn.Module):
    """x [B, T] token indices -> the logits [B, T, C] of the contexts.

    starts   [T] where in the table the contexts of each place begin
    """

    starts: Tensor

    def __init__(self, length: int, num_tokens: int, order: int):
        super().__init__()
        self.order, self.num_tokens = order, num_tokens
        sizes = [num_tokens ** min(place + 1, order) for place in range(length)]
        self.register_buffer("starts", torch.tensor([0, *sizes[:-1]]).cumsum(0), persistent=False)
        self.table = nn.Embedding(sum(sizes), num_tokens)
        nn.init.zeros_(self.table.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = x.long()
        context, places = torch.zeros_like(x), x.shape[-1]
        for back in reversed(range(min(self.order, places))):  # the oldest token first
            shifted = nn.functional.pad(x[..., : places - back], (back, 0))
            there = torch.arange(places, device=x.device) >= back
            context = torch.where(there, context * self.num_tokens + shifted, context)
        return self.table(context + self.starts[:places])


def ngram_table(*, input_shape: Sequence[int], num_outputs: int, order: Annotated[int, Ge(1)] = 4) -> Model:
    """input_shape is (T,): at most T tokens are read; num_outputs is the size of the vocabulary.

    order   tokens that a context has; fewer where fewer were read
    """
    if len(input_shape) != 1:
        raise UsageError(
            "model=ngram_table reads tokens [T], and the inputs of this data set have the shape "
            f"{list(input_shape)}. Choose a data set of tokens, such as dataset=markov_source, or another model."
        )
    needed = sum(num_outputs ** min(place + 1, order) for place in range(input_shape[0])) * num_outputs
    if needed > MOST_LOGITS:
        raise UsageError(
            f"model.order={order}: contexts of {order} of {num_outputs} tokens, at {input_shape[0]} places, need "
            f"{needed} logits; at most {MOST_LOGITS} are possible. Give a smaller order."
        )
    return Model(Contexts(input_shape[0], num_outputs, order), nn.Identity(), num_features=num_outputs)
