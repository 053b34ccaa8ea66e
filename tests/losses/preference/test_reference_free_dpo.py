import math

import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.reference_free_dpo import reference_free_dpo
from tests.losses.support import extreme, near, same, sample, stacked

WORDS = ("chosen_logps", "rejected_logps")


def test_limit():  # dpo with a reference under which both completions are equally likely
    chosen, rejected = sample(*WORDS)
    equal = torch.full_like(chosen, -3.0)
    near(reference_free_dpo(chosen, rejected, beta=0.3), dpo(chosen, rejected, equal, equal, beta=0.3))


def test_oracle():  # softmax of two scores, by torch's cross-entropy
    same(
        reference_free_dpo,
        lambda chosen, rejected: torch.nn.functional.cross_entropy(
            0.3 * torch.stack([chosen, rejected], 1), torch.zeros(len(chosen), dtype=torch.long), reduction="none"
        ),
        beta=0.3,
    )


def test_hand():  # beta 1/2, log-probabilities that differ by log 9: -log(3/4)
    chosen = torch.tensor([-1.0], dtype=torch.float64)
    near(reference_free_dpo(chosen, chosen - math.log(9), beta=0.5), math.log(4 / 3))


def test_extreme():
    far = torch.tensor([-6e4, 0.0])
    extreme(reference_free_dpo, far, far.flip(0))


def test_stacked():
    stacked(reference_free_dpo, beta=[0.01, 0.1, 1.0])
