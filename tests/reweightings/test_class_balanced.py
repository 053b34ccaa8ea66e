import torch

from lossbench.reweightings.class_balanced import class_balanced
from tests.losses.support import near

COUNTS = torch.tensor([1.0, 2.0, 50.0, 5000.0], dtype=torch.float64)
TARGETS = torch.tensor([[3, 0], [1, 1], [2, 3]])
NOW, EARLY = torch.tensor(0.5), torch.tensor(0.49)


def test_limit():  # beta = 0 is no reweighting; so is the time before start, whose own moment already counts
    near(class_balanced(TARGETS, COUNTS, NOW, beta=0.0), torch.ones(3, 2))
    near(class_balanced(TARGETS, COUNTS, EARLY, beta=0.9, start=0.5), torch.ones(3, 2))
    weighted = class_balanced(TARGETS, COUNTS, NOW, beta=0.9)
    assert not weighted.allclose(torch.ones(3, 2, dtype=torch.float64))
    near(class_balanced(TARGETS, COUNTS, NOW, beta=0.9, start=0.5), weighted)


def test_oracle():  # the effective number as the paper defines it, 1 + beta + ... + beta^(n - 1), by a loop
    for beta in (0.5, 0.9, 0.9999):
        effective = [sum(beta**i for i in range(int(n))) for n in COUNTS]
        weights = torch.tensor([1 / e for e in effective], dtype=torch.float64)
        near(class_balanced(TARGETS, COUNTS, NOW, beta=beta), (weights * 4 / weights.sum())[TARGETS])
        over_examples = sum(n * w for n, w in zip(COUNTS, weights, strict=True)) / COUNTS.sum()
        found = class_balanced(TARGETS, COUNTS, NOW, beta=beta, normalization="examples")
        near(found, (weights / over_examples)[TARGETS])


def test_hand():  # beta = 1/2: effective numbers 1 and 3/2, weights 1 and 2/3, of mean 5/6: 6/5 and 4/5
    counts = torch.tensor([1.0, 2.0], dtype=torch.float64)
    near(class_balanced(torch.tensor([0, 1, 1]), counts, NOW, beta=0.5), [6 / 5, 4 / 5, 4 / 5])


def test_precise_where_beta_to_the_n_is_near_one():  # float32, one example a class: the effective number is 1
    counts = torch.tensor([1.0, 2.0])
    found = class_balanced(torch.tensor([0, 1]), counts, NOW, beta=0.999999)
    near(found, [4 / 3, 2 / 3], 1e-5)
