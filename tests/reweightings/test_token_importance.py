import math

import numpy as np
import torch

from lossbench.reweightings.token_importance import token_importance
from tests.losses.support import near, sample


def test_limit():  # all tokens kept: each that counts weighs 1
    logits, teacher, mask = sample("logits", "teacher_logits", "mask", tokens=True)
    near(token_importance(logits, teacher, mask, fraction=1.0), mask.double())


def slow(logits, teacher, mask, fraction, score):
    """With numpy, sequence by sequence."""
    q, p = logits.softmax(-1).numpy(), teacher.softmax(-1).numpy()
    entropy, divergence = -(q * np.log(q)).sum(-1), (q * np.log(q / p)).sum(-1)

    def unit(values):
        counted = values[mask.numpy()]
        high, low = np.quantile(counted, 0.98), counted.min()
        return (np.minimum(values, high) - low) / (high - low)

    h, d = unit(entropy), unit(divergence)
    scores = {"both": 1 - (1 - h) * (1 - d), "entropy": h, "divergence": d}[score]
    weights = np.zeros(mask.shape)
    for row in range(len(mask)):
        counted = np.flatnonzero(mask[row])
        kept = math.ceil(fraction * len(counted))
        best = counted[np.argsort(-scores[row, counted], kind="stable")[:kept]]
        weights[row, best] = len(counted) / kept
    return weights


def test_oracle():
    for score in ("both", "entropy", "divergence"):
        for fraction in (0.1, 0.3, 0.5, 0.75):
            logits, teacher, mask = sample("logits", "teacher_logits", "mask", tokens=True)
            assert mask.any(1).all() and not mask.all()
            own = token_importance(logits, teacher, mask, fraction=fraction, score=score)
            near(own, slow(logits, teacher, mask, fraction, score))
            junk = torch.where(mask.unsqueeze(-1), logits, 1e3)
            near(token_importance(junk, teacher, mask, fraction=fraction, score=score), own)


def test_hand():
    """Four tokens of two classes. Entropy: only the first is unsure, and as the teacher is. Divergence: only the second
    is sure of the other class. Each is the best by its own score, and together they are the best two."""
    sure = [6.0, -6.0]
    logits = torch.tensor([[[0.0, 0.0], sure, sure, sure]], dtype=torch.float64)
    teacher = torch.tensor([[[0.0, 0.0], sure[::-1], sure, sure]], dtype=torch.float64)
    mask = torch.ones(1, 4, dtype=torch.bool)
    near(token_importance(logits, teacher, mask, fraction=0.25, score="entropy"), [[4.0, 0, 0, 0]])
    near(token_importance(logits, teacher, mask, fraction=0.25, score="divergence"), [[0, 4.0, 0, 0]])
    near(token_importance(logits, teacher, mask, fraction=0.5), [[2.0, 2.0, 0, 0]])


def test_equal():  # a student that is even everywhere, and so is the teacher: the first tokens
    even, mask = torch.zeros(2, 4, 3), torch.ones(2, 4, dtype=torch.bool)
    near(token_importance(even, even, mask), [[2.0, 2.0, 0, 0]] * 2)
