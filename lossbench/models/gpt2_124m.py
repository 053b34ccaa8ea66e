"""GPT-2's smallest sizes: 12 blocks of width 768, 12 heads, embedding and head tied; 124 M parameters with its 50,257
tokens.

Paper     Radford et al. 2019 (GPT-2)
Differs   in what lossbench/models/gpt.py says: rotary positions, RMSNorm and no biases
"""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Interval

from lossbench.models.gpt import gpt
from lossbench.models.model import Model


def gpt2_124m(
    *,
    input_shape: Sequence[int],
    num_outputs: int,
    tied: bool = True,
    qk_norm: bool = False,
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    checkpoint_activations: bool = False,
) -> Model:
    """As ``gpt``, with everything else fixed.

    tied                    the head's weight is the embedding's
    qk_norm                 queries and keys of every head are normalised before they are rotated
    dropout                 probability, after the embedding, the attention and the MLP
    checkpoint_activations  a block's activations are computed again for its gradient: less memory, a third more time
    """
    return gpt(
        input_shape=input_shape,
        num_outputs=num_outputs,
        depth=12,
        width=768,
        heads=12,
        tied=tied,
        qk_norm=qk_norm,
        dropout=dropout,
        checkpoint_activations=checkpoint_activations,
    )
