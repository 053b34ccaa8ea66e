import numpy
import torch
from sklearn.utils.class_weight import compute_class_weight

from lossbench.reweightings.inverse_frequency import inverse_frequency
from tests.losses.support import near

TRAINING = torch.tensor([0] * 7 + [1] * 2 + [2] * 11)
COUNTS = torch.bincount(TRAINING).double()
TARGETS = torch.tensor([[2, 0], [1, 1]])
NOW, EARLY = torch.tensor(0.8), torch.tensor(0.79)


def test_limit():  # power 0 is no reweighting; so is the time before start
    near(inverse_frequency(TARGETS, COUNTS, NOW, power=0.0), torch.ones(2, 2))
    near(inverse_frequency(TARGETS, COUNTS, EARLY, start=0.8), torch.ones(2, 2))
    near(inverse_frequency(TARGETS, COUNTS, NOW, start=0.8), inverse_frequency(TARGETS, COUNTS, NOW))


def test_oracle():  # scikit-learn's "balanced"
    expected = compute_class_weight("balanced", classes=numpy.arange(3), y=TRAINING.numpy())
    near(inverse_frequency(TARGETS, COUNTS, NOW), expected[TARGETS.numpy()])
    training = inverse_frequency(TRAINING, COUNTS, NOW, power=0.5)
    near(training.mean(), 1.0)


def test_hand():  # n = 1 and 4, power 1/2: weights 1 and 1/2, over the classes of mean 3/4: 4/3 and 2/3
    counts = torch.tensor([1.0, 4.0], dtype=torch.float64)
    targets = torch.tensor([0, 1])
    near(inverse_frequency(targets, counts, NOW, power=0.5, normalization="classes"), [4 / 3, 2 / 3])
    near(inverse_frequency(targets, counts, NOW, power=0.5), [5 / 3, 5 / 6])  # over the examples of mean 3/5
