"""Exact match: 1 where a completion is the answer, token for token, its end included."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def exact_match(completions: Int[Tensor, "N T"], answers: Int[Tensor, "N A"], *, end: int) -> Float[Tensor, "N"]:
    """answers    tokens, with the end token in every place from their end on
    end        the token that ends a completion: one that was cut off before it is not the answer
    """
    width = max(completions.shape[1], answers.shape[1])
    found, wanted = (F.pad(rows, (0, width - rows.shape[1]), value=end) for rows in (completions, answers))
    return ((found == wanted).all(1) & (completions[:, -1] == end)).float()
