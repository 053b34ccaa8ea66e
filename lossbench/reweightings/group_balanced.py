"""Group-balanced weights: every group counts the same, however many training examples it has.

    w_i = N / (G n_{g_i})        n_g = training examples of group g, N = sum_g n_g, G = number of groups

groups        [*] group indices g               group_counts  [G] n
Returns       [*] weight per example; over the training set the mean of w_i l_i is the mean of the groups' mean losses
Numerics      group_counts is at least 1
Paper         the importance weighting that Sagawa et al. 2020, arXiv:1911.08731, compare with
Differs       theirs may be normalised otherwise, which a learning rate undoes
"""

from jaxtyping import Float, Int
from torch import Tensor


def group_balanced(groups: Int[Tensor, "*b"], group_counts: Float[Tensor, "G"]) -> Float[Tensor, "*b"]:
    return (group_counts.sum() / (group_counts.shape[-1] * group_counts))[groups]
