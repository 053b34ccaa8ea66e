"""EasyLLP: every member of a bag gets a soft label corrected for the bag, so that cross-entropy is unbiased.

    l = 1 / M sum_j sum_c t[c] (-log p_j[c])        p_j = softmax(bag_logits_j)
    t[c] = M (proportions[c] - class_prior[c]) + class_prior[c]

Over random bags of M independent members, E[t[c] | x_j] = P(y = c | x_j): the expectation is that of cross-entropy on
the true classes. M = 1 is cross_entropy itself.

bag_logits   [B, M, C] scores of the members    proportions  [B, C] part of each class in the bag
class_prior  [C] part of each class in the training set
Returns   [B] loss per bag. The corrected labels leave [0, 1], so that it has no lower bound; its variance grows with M
Numerics  as log sum exp(s_j) - sum_c t[c] s_j[c], which is the same because t sums to 1, and convex in the scores
Paper     Busa-Fekete et al. 2023, arXiv:2302.03115, the corrected label for any loss; here with cross-entropy
Differs   several classes, where the paper has two: its label for each class. The prior is the mean of the proportions
          over all training bags. A variant of the paper takes one random member of each bag; here all of them count
"""

from jaxtyping import Float
from torch import Tensor


def easyllp(
    bag_logits: Float[Tensor, "B M C"], proportions: Float[Tensor, "B C"], class_prior: Float[Tensor, "C"]
) -> Float[Tensor, "B"]:
    members = bag_logits.shape[1]
    corrected = members * (proportions - class_prior) + class_prior
    agreement = (corrected.unsqueeze(1) * bag_logits).sum(-1)
    return (bag_logits.logsumexp(-1) - agreement).mean(1)
