import torch
from torch.nn import functional as F

from lossbench.losses.language.brio import brio
from tests.losses.support import near, sample

WORDS = ("logits", "targets", "candidate_log_p", "candidate_lengths", "candidate_qualities")


def test_limit():  # no weight: smoothed cross-entropy; candidates far apart in the right order: no ranking loss
    tensors = sample(*WORDS, tokens=True)
    values = brio(*tensors, weight=0.0)
    near(values["cross_entropy"], F.cross_entropy(tensors[0].mT, tensors[1], reduction="none", label_smoothing=0.1))
    near(values["ranking"], torch.zeros(6))
    qualities = tensors[4] + 1e-3 * torch.arange(12)
    near(brio(*tensors[:2], 100 * qualities - 200, torch.ones_like(tensors[3]), qualities)["ranking"], torch.zeros(6))


def test_oracle():  # torch's margin ranking loss, once for every pair of the sorted candidates
    logits, targets, log_p, lengths, qualities = sample(*WORDS, tokens=True)
    found = brio(logits, targets, log_p, lengths, qualities, weight=3.0, margin=0.2, length_power=0.6)["ranking"]
    for row in range(6):
        order = sorted(range(12), key=lambda i: -qualities[row, i].item())
        f = log_p[row] / lengths[row].double() ** 0.6
        total = 0.0
        for i in range(12):
            for j in range(i + 1, 12):
                if qualities[row, order[i]] > qualities[row, order[j]]:
                    pair = f[order[i]].view(1), f[order[j]].view(1), torch.ones(1)
                    total += F.margin_ranking_loss(*pair, margin=(j - i) * 0.2).item()
        near(found[row], 3 * total)


def test_hand():  # f = -1, -2, -1.5 in the order of quality: margins 1, 1, 2; hinges 0, max(0, .5 + 1), max(0, -.5 + 2)
    log_p, lengths = torch.tensor([[-3.0, -2.0, -4.0]]).double(), torch.tensor([[2, 2, 2]])
    qualities = torch.tensor([[0.1, 0.9, 0.5]]).double()
    given = (torch.zeros(1, 1, 2).double(), torch.zeros(1, 1, dtype=torch.long), log_p, lengths, qualities)
    near(brio(*given, weight=2.0, margin=1.0, length_power=1.0)["ranking"], [2 * (0 + 1.5 + 1.5)])
