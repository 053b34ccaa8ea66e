import math

import torch
from sklearn.metrics import log_loss

from lossbench.losses.classification.rejection_cross_entropy import rejection_cross_entropy
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("acceptance_scores", "acceptable")


def test_limit():  # cost 1/2 is the plain logistic loss; at 0 the probability is 1 - cost
    scores, acceptable = sample(*WORDS)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(scores, acceptable.double(), reduction="none")
    near(rejection_cross_entropy(scores, acceptable, cost=0.5), expected)
    near(
        rejection_cross_entropy(0 * scores[:2], torch.tensor([True, False]), cost=0.2), [-math.log(0.8), -math.log(0.2)]
    )


def test_oracle():  # scikit-learn's log loss of the probabilities that the shifted scores stand for
    for seed in range(3):
        scores, acceptable = sample(*WORDS, seed=seed, B=20)
        odds = scores.exp() * 0.9 / 0.1
        expected = log_loss(acceptable.numpy(), (odds / (1 + odds)).numpy(), labels=[False, True])
        near(rejection_cross_entropy(scores, acceptable, cost=0.1).mean(), expected)


def test_hand():  # score log 2, cost 1/4: odds 2 * 3 = 6, so 6/7 that the answer is right
    values = rejection_cross_entropy(torch.full((2,), math.log(2)).double(), torch.tensor([True, False]), cost=0.25)
    near(values, [math.log(7 / 6), math.log(7)], 1e-7)


def test_tokens():
    scores, acceptable = sample(*WORDS, tokens=True)
    rows = [rejection_cross_entropy(s, a) for s, a in zip(scores, acceptable, strict=True)]
    near(rejection_cross_entropy(scores, acceptable), torch.stack(rows))


def test_extreme():
    values, gradients = extreme(
        rejection_cross_entropy, torch.tensor([2e4, -2e4]), torch.tensor([False, False]), cost=0.5
    )
    near(values[0], [2e4, 0])
    near(gradients[0], [1, 0])


def test_stacked():
    stacked(rejection_cross_entropy, cost=[0.05, 0.3, 0.5])
