"""Z-error: an element whose loss is far from the mean of its batch, in standard deviations, does not count.

    w_i = [|z_i| <= threshold] n / sum_j [|z_j| <= threshold]        z_i = (l_i - mean(l)) / (std(l) + 1e-8)

over the n elements of the batch, so that the mean of w_i l_i is the mean loss of those that are kept.

losses     [*] loss of each element             threshold  > 0; infinity keeps all
Returns   [*] weight of each element: 0, or n over the number of those that are kept. It looks at the whole batch
Numerics  std with n - 1; a batch of equal losses, or of one element, is kept whole
Paper     Godin 2025, arXiv:2506.02154, the loss for regression (on mean_squared_error); threshold = 2 is its example.
          The formula is from two summaries of the note that agree, not from its text
Differs   one of the summaries says that the note's code takes the z-score of the signed errors; here it is of the
          losses, as in the text. Without the annealing of the threshold, which the note offers, and without its loss
          for classification, which masks by the logits of each class
"""

from typing import Annotated

from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor

SMALL = 1e-8


def z_error(losses: Float[Tensor, "*b"], *, threshold: Annotated[float, Gt(0)] = 2.0) -> Float[Tensor, "*b"]:
    number = losses.numel()
    centred = losses - losses.mean()
    std = (centred.square().sum() / max(number - 1, 1)).sqrt()
    kept = (centred.abs() / (std + SMALL) <= threshold).to(losses.dtype)
    return kept * number / kept.sum().clamp(min=1)
