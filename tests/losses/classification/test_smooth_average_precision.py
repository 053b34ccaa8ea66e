import math

import pytest
import torch
from sklearn.metrics import average_precision_score

from lossbench.losses.classification.smooth_auroc import smooth_auroc
from lossbench.losses.classification.smooth_average_precision import smooth_average_precision
from tests.losses.support import extreme, near, sample


def test_limit():  # a small temperature: 1 - average precision, of class 1 of two, the mean over more classes
    logits, targets = sample("logits", "targets", B=40)
    binary, labels = logits[:, :2], targets % 2
    expected = 1 - average_precision_score(labels, binary[:, 1] - binary[:, 0])
    near(smooth_average_precision(binary, labels, temperature=1e-6), expected)
    each = [average_precision_score(targets == c, logits.softmax(-1)[:, c]) for c in range(5)]
    near(smooth_average_precision(logits, targets, temperature=1e-6), 1 - sum(each) / 5)


def test_oracle():  # the definition in loops
    logits, targets = sample("logits", "targets", B=12)
    p, terms = logits.softmax(-1), []
    for c in range(5):
        s = torch.log(p[:, c] / (1 - p[:, c])).tolist()
        positives = [i for i in range(12) if targets[i] == c]
        lacking = []
        for i in positives:
            h = [1 / (1 + math.exp((s[i] - s[j]) / 0.5)) if j != i else 0.0 for j in range(12)]
            lacking.append(sum(h[j] for j in range(12) if j not in positives) / (1 + sum(h)))
        terms += [sum(lacking) / len(lacking)] if positives else []
    near(smooth_average_precision(logits, targets, temperature=0.5), sum(terms) / len(terms))


def test_hand():  # positives at log 3 and 0, a negative at 0: (1/4) / (1 + 1/4 + 1/4) and (1/2) / (1 + 3/4 + 1/2)
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    near(smooth_average_precision(logits, torch.tensor([1, 1, 0])), (1 / 6 + 2 / 9) / 2)
    near(smooth_average_precision(logits, torch.tensor([1, 1, 1])), 0.0)  # no negatives


@pytest.mark.parametrize("place", range(1, 8))
def test_mistakes_high_up_weigh_more(place):
    """Theorem 1's consequence: of two neighbours in the wrong order, all pairs weigh the same in AUROC, and the higher
    ones more in average precision. Scores 9..0; at ``place`` a negative stands just above the only other positive."""

    def gain(loss, place):
        targets = torch.tensor([1, *[0] * 9])
        targets[place + 1] = 1
        scores = torch.arange(9.0, -1, -1, dtype=torch.float64)
        fixed = scores.clone()
        fixed[place], fixed[place + 1] = scores[place + 1], scores[place]
        both = [torch.stack([torch.zeros(10, dtype=torch.float64), s], 1) for s in (scores, fixed)]
        return (loss(both[0], targets, temperature=1e-3) - loss(both[1], targets, temperature=1e-3)).item()

    assert gain(smooth_auroc, place) == pytest.approx(1 / (2 * 8))
    if place < 7:
        assert gain(smooth_average_precision, place) > gain(smooth_average_precision, place + 1) > 0


def test_extreme():  # the only positive is last: 1 / (1 + 1)
    values, _ = extreme(smooth_average_precision, torch.tensor([[2e4, -2e4], [-2e4, 2e4]]), torch.tensor([1, 0]))
    near(values[0], 0.5)
