import torch

from lossbench.reweightings.retained import retained
from tests.losses.support import near, sample


def test_limit():  # nothing to forget: every weight is 1
    near(retained(torch.ones(4)), [1.0] * 4)


def test_oracle():  # over a whole training set: the mean of the losses of what is kept
    (losses,) = sample("losses", B=20)
    kept = torch.arange(20) % 5 != 2
    near((retained(20 / 16 * kept.double()) * losses).mean(), losses[kept].mean())


def test_hand():  # 4 examples of which 1 is to be forgotten
    near(retained(torch.tensor([4 / 3, 0.0, 4 / 3, 4 / 3], dtype=torch.float64)), [4 / 3, 0.0, 4 / 3, 4 / 3])
