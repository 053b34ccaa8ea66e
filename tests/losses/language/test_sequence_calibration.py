import itertools

import pytest
import torch
from torch.nn import functional as F

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.sequence_calibration import sequence_calibration
from tests.losses.support import near, sample

WORDS = ("logits", "targets", "candidate_log_p", "candidate_lengths", "candidate_qualities")


def test_limit():  # equally good candidates: likelihood of the reference alone; a whole length is divided out
    logits, targets, log_p, lengths, qualities = sample(*WORDS, tokens=True)
    values = sequence_calibration(logits, targets, log_p, lengths, torch.ones_like(qualities), regularization=2.0)
    near(values["cross_entropy"], 2 * cross_entropy(logits, targets))
    near(values["calibration"], torch.zeros(6))
    whole = sequence_calibration(logits, targets, log_p * lengths, lengths, qualities, length_power=1.0)
    near(whole["calibration"], sequence_calibration(logits, targets, log_p, lengths, qualities)["calibration"])


@pytest.mark.parametrize("calibration", ["rank", "margin", "list_rank", "reward"])
def test_oracle(calibration):  # loops over the candidates; torch's margin ranking loss
    logits, targets, f, lengths, qualities = sample(*WORDS, tokens=True)
    options = {"calibration": calibration, "margin": 0.7, "regularization": 1.0}
    found = sequence_calibration(logits, targets, f, lengths, qualities, **options)["calibration"]
    for row in range(6):
        order = sorted(range(12), key=lambda i: -qualities[row, i].item())
        pairs = []
        for place, other in itertools.combinations(range(12), 2):
            i, j = order[place], order[other]
            gap = (qualities[row, i] - qualities[row, j]).item()
            if gap > 0:
                margin = 0.7 * {"rank": 1.0, "margin": gap, "list_rank": other - place, "reward": 0.0}[calibration]
                pair = f[row, i].view(1), f[row, j].view(1), torch.ones(1)
                pairs.append(F.margin_ranking_loss(*pair, margin=margin).item())
        wanted = sum(pairs) / (1 if calibration == "list_rank" else len(pairs))
        if calibration == "reward":
            wanted = -sum(q * p for q, p in zip(qualities[row].tolist(), f[row].exp().tolist(), strict=True))
        near(found[row], wanted)


def test_hand():  # the better one is less likely by 1: rank 2 + 1, margin 2 * 0.5 + 1, reward -(0.5 e^-1 + 1 e^-2)
    tensors = [
        torch.zeros(1, 1, 2).double(),
        torch.zeros(1, 1, dtype=torch.long),
        torch.tensor([[-1.0, -2.0]]).double(),
    ]
    tensors += [torch.tensor([[3, 4]]), torch.tensor([[0.5, 1.0]]).double()]
    for calibration, value in (("rank", 3.0), ("margin", 2.0), ("list_rank", 3.0), ("reward", -0.319275)):
        near(sequence_calibration(*tensors, calibration=calibration, margin=2.0)["calibration"], [value], 1e-5)
