"""Chosen likelihood: the log-likelihood of the chosen completion alone, supervised fine-tuning on what was preferred.

    l_i = -log pi(w_i)        w: chosen

The baseline that uses the same data and no comparison.

chosen_logps    [B] log pi(w)
Returns   [B] loss per pair
Paper     none: maximum likelihood. Supervised fine-tuning on the preferred completions is a baseline of Rafailov et al.
          2023, arXiv:2305.18290
Differs   nothing
"""

from jaxtyping import Float
from torch import Tensor


def chosen_likelihood(chosen_logps: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
    return -chosen_logps
