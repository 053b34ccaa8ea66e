import math

import torch
from torch.nn import functional as F

from lossbench.losses.language.adaptive_ranking import adaptive_ranking
from lossbench.losses.language.sequence_calibration import sequence_calibration
from tests.losses.support import near, sample

WORDS = ("logits", "targets", "candidate_log_p", "candidate_lengths", "candidate_qualities")


def test_limit():  # no weight: smoothed cross-entropy. Of two candidates: one pair with the margin scale log 2
    tensors = sample(*WORDS, tokens=True)
    values = adaptive_ranking(*tensors, weight=0.0)
    near(values["cross_entropy"], F.cross_entropy(tensors[0].mT, tensors[1], reduction="none", label_smoothing=0.1))
    near(values["ranking"], torch.zeros(6))
    two = [*tensors[:2], *(t[:, :2] for t in tensors[2:4]), torch.tensor([[0.2, 0.7]]).double().expand(6, 2)]
    near(
        adaptive_ranking(*two, weight=5.0, scale=1.0)["ranking"],
        5 * sequence_calibration(*two, margin=math.log(2), length_power=1.0)["calibration"],
    )


def test_oracle():  # a loop over the pairs
    logits, targets, log_p, lengths, qualities = sample(*WORDS, tokens=True)
    options = {"weight": 3.0, "margin": 0.4, "scale": 0.5, "length_power": 0.6}
    found = adaptive_ranking(logits, targets, log_p, lengths, qualities, **options)["ranking"]
    for row in range(6):
        q = qualities[row].tolist()
        f = (log_p[row] / lengths[row].double() ** 0.6).tolist()
        ranks = [sum(other < own for other in q) for own in q]
        hinges = [
            max(0.0, 0.5 * (0.4 + math.log(ranks[i] - ranks[j])) - f[i] + f[j])
            for i in range(12)
            for j in range(12)
            if q[i] > q[j]
        ]
        near(found[row], 3 * sum(hinges) / len(hinges))


def test_hand():  # ranks 0, 0, 2: two pairs with log 2 between; f is equal: both hinges are 0.5 (1 + log 2)
    tensors = [torch.zeros(1, 1, 2).double(), torch.zeros(1, 1, dtype=torch.long), torch.full((1, 3), -2.0).double()]
    tensors += [torch.ones(1, 3, dtype=torch.long), torch.tensor([[0.3, 0.3, 0.8]]).double()]
    options = {"weight": 1.0, "margin": 1.0, "scale": 0.5}
    near(adaptive_ranking(*tensors, **options)["ranking"], [0.5 * (1 + math.log(2))])
    tensors[-1] = torch.ones(1, 3).double()  # no pair
    near(adaptive_ranking(*tensors, **options)["ranking"], [0.0])
