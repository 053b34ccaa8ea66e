import math

import numpy as np
import torch

from lossbench.reweightings.error_norm_truncation import error_norm_truncation
from tests.losses.support import near, sample

LATE = torch.tensor(0.9, dtype=torch.float64)


def norms(logits, targets):
    one_hot = np.eye(logits.shape[-1])[targets.numpy()]
    return np.linalg.norm(logits.softmax(-1).numpy() - one_hot, axis=-1)


def test_limit():  # the longest possible vector, a fraction of 0, the time before the start: all count
    logits, targets, mask = sample("logits", "targets", "mask", tokens=True)
    ones = torch.ones(6, 7)
    near(error_norm_truncation(logits, targets, mask, LATE, threshold=math.sqrt(2) + 1e-9), ones)
    near(error_norm_truncation(logits, targets, mask, LATE, fraction=0.0)[mask], ones[mask])
    near(error_norm_truncation(logits, targets, mask, LATE, threshold=0.0, start=1.0), ones)
    near(error_norm_truncation(logits, targets, mask, LATE, threshold=0.0), 0 * ones)


def test_oracle():  # norms by numpy; the fraction is of the tokens that count, rounded down, the longest of them
    for seed in range(4):
        logits, targets, mask = sample("logits", "targets", "mask", tokens=True, seed=seed)
        error = norms(logits, targets)
        near(error_norm_truncation(logits, targets, mask, LATE, threshold=1.1), (error <= 1.1).astype(float))
        weights = error_norm_truncation(logits, targets, mask, LATE, fraction=0.3)
        dropped = set(zip(*np.nonzero(((weights == 0) & mask).numpy()), strict=True))
        counted = sorted(zip(*np.nonzero(mask.numpy()), strict=True), key=lambda place: -error[place])
        assert dropped == set(counted[: int(0.3 * len(counted))]) and dropped


def test_hand():  # p = (1/4, 3/4), target 0: the vector (-3/4, 3/4) is sqrt(9/8) = 1.0607 long
    logits, target, here = torch.tensor([[0.0, math.log(3)]]).double(), torch.tensor([0]), torch.tensor([True])
    near(error_norm_truncation(logits, target, here, LATE, threshold=1.0606), [0.0])
    near(error_norm_truncation(logits, target, here, LATE, threshold=1.0607), [1.0])
