import math

import numpy
import torch
from sklearn.metrics import dcg_score

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.rank_mixup import rank_mixup
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("logits", "targets", "mixed_logits", "mixing_coefficients")


def logits_of(confidence, classes=4):
    """Scores whose largest probability is this."""
    return math.log(confidence * (classes - 1) / (1 - confidence)) * torch.eye(classes, dtype=torch.float64)[0]


def test_limit():  # weight 0 is cross-entropy; confidences like the coefficients, and 1 for the input, cost nothing
    logits, targets, mixed, coefficients = sample(*WORDS)
    terms = rank_mixup(logits, targets, mixed, coefficients, weight=0.0)
    near(sum(terms.values()), cross_entropy(logits, targets))
    sure = torch.tensor([[80.0, 0, 0, 0]], dtype=torch.float64)
    mixes = torch.stack([logits_of(0.6), logits_of(0.9), logits_of(0.7)]).unsqueeze(0)
    terms = rank_mixup(sure, torch.tensor([2]), mixes, torch.tensor([[0.6, 0.9, 0.7]], dtype=torch.float64))
    near(terms["ranking"], [0.0])


def test_oracle():  # scikit-learn's DCG: gains as relevances, in the order that the coefficients give
    logits, targets, mixed, coefficients = sample(*WORDS, B=30)
    spread = torch.linspace(0, 12, 30)  # from below the ideal to above it
    logits, mixed = spread.view(-1, 1) * logits, spread.view(-1, 1, 1) * mixed
    actual = rank_mixup(logits, targets, mixed, coefficients, weight=0.7)["ranking"]
    above = []
    for i in range(len(logits)):
        gains = numpy.append(logits[i].softmax(-1).max(), mixed[i].softmax(-1).amax(-1)).reshape(1, -1)
        order = numpy.append(2.0, coefficients[i]).reshape(1, -1)  # the input comes first
        ideal = numpy.append(1.0, coefficients[i]).reshape(1, -1)
        gain, best = dcg_score(gains, order), dcg_score(ideal, order)
        above.append(gain > best)
        near(actual[i], 0.7 * (1 - min(gain, best) / max(gain, best)))
    assert 5 < sum(above) < 25


def test_hand():
    # Input 3/4 sure; mixes with coefficients 1/2 and 1, confidences 1/2 and 3/4. The second comes first:
    # DCG = 3/4 + (3/4) / log2 3 + (1/2) / 2, IDCG = 1 + 1 / log2 3 + (1/2) / 2.
    mixed = torch.stack([logits_of(0.5), logits_of(0.75)]).unsqueeze(0)
    coefficients = torch.tensor([[0.5, 1.0]], dtype=torch.float64)
    terms = rank_mixup(logits_of(0.75).unsqueeze(0), torch.tensor([0]), mixed, coefficients, weight=0.1)
    gain, ideal = 0.75 + 0.75 / math.log2(3) + 0.25, 1 + 1 / math.log2(3) + 0.25
    near(terms["ranking"], [0.1 * (1 - gain / ideal)])
    near(terms["cross_entropy"], [math.log(4 / 3)])


def test_order_of_the_mixes():  # permuting the mixes changes nothing; what is too sure is told to be less so
    logits, targets, mixed, coefficients = sample(*WORDS)
    order = torch.randperm(mixed.shape[1], generator=torch.Generator().manual_seed(0))
    first, second = (
        rank_mixup(logits, targets, m, c)["ranking"]
        for m, c in ((mixed, coefficients), (mixed[:, order], coefficients[:, order]))
    )
    near(first, second)
    sure = torch.tensor([[[9.0, 0, 0, 0]]], dtype=torch.float64, requires_grad=True)
    value = rank_mixup(50 * logits[:1, :4], targets[:1] % 4, sure, torch.tensor([[0.5]], dtype=torch.float64))
    (gradient,) = torch.autograd.grad(value["ranking"].sum(), sure)
    assert gradient[0, 0, 0] > 0


def test_extreme():  # sure of all mixes, coefficients 1/2: 1 - (1 + d / 2) / (1 + d), d = 1 / log2 3 + 1 / 2
    logits, targets = torch.tensor([[2e4, -2e4]]), torch.tensor([1])
    values, _ = extreme(rank_mixup, logits, targets, logits.repeat(2, 1).unsqueeze(0), torch.full((1, 2), 0.5))
    near(values[0], [4e4])
    d = 1 / math.log2(3) + 1 / 2
    near(values[1], [0.1 * (1 - (1 + d / 2) / (1 + d))], 1e-6)


def test_stacked():
    stacked(rank_mixup, weight=[0.0, 0.1, 2.0])
