import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.rationale_contrastive import rationale_contrastive
from tests.losses.support import near, sample

WORDS = ("logits", "targets", "rationale_logits", "negative_rationale_logits")


def test_limit():  # weight 0 is cross-entropy; weight 1 has none of it
    tensors = sample(*WORDS)
    terms = rationale_contrastive(*tensors, weight=0.0)
    near(terms["cross_entropy"], cross_entropy(*tensors[:2]))
    near(terms["rationale"], [0.0] * 6)
    near(rationale_contrastive(*tensors, weight=1.0)["cross_entropy"], [0.0] * 6)


def test_oracle():  # the paper's two sums, written out
    logits, targets, own, others = sample(*WORDS)
    terms = rationale_contrastive(logits, targets, own, others, weight=0.3)
    near(terms["cross_entropy"], 0.7 * cross_entropy(logits, targets))
    for i, y in enumerate(targets.tolist()):
        scores = [own[i, y].item(), *(others[i, s, y].item() for s in range(others.shape[1]))]
        near(terms["rationale"][i], -0.3 * math.log(math.exp(scores[0]) / sum(map(math.exp, scores))))


def test_hand():  # three times as likely as its only negative: -log(3/4); the scores of other classes do not matter
    own, others = torch.tensor([[9.0, math.log(3)]]), torch.tensor([[[-7.0, 0.0]]])
    terms = rationale_contrastive(torch.zeros(1, 2), torch.tensor([1]), own, others, weight=0.5)
    near(terms["rationale"], [math.log(4 / 3) / 2], 1e-6)
    near(terms["cross_entropy"], [math.log(2) / 2], 1e-6)
