import torch

from lossbench.reweightings.loss_truncation import loss_truncation
from tests.losses.support import near, sample

LATE = torch.tensor(0.9, dtype=torch.float64)


def test_limit():  # a fraction of 0, the time before the start: all count
    losses, mask = sample("losses", "mask", tokens=True)
    mask[:, 0] = True
    near(loss_truncation(losses, mask, LATE, fraction=0.0), torch.ones(6))
    near(loss_truncation(losses, mask, LATE, fraction=0.9, start=1.0), torch.ones(6))


def test_oracle():  # the sequences in the order of their mean losses, one by one
    for seed in range(4):
        losses, mask = sample("losses", "mask", tokens=True, seed=seed)
        mask[:, 0], mask[2] = True, False
        means = {i: losses[i][mask[i]].mean().item() for i in range(6) if mask[i].any()}
        worst = sorted(means, key=means.get)[-2:]
        weights = loss_truncation(losses, mask, LATE, fraction=0.5)  # two of the five that count
        assert [i for i in means if weights[i] == 0] == sorted(worst)


def test_hand():  # means 1, 3 and 2, the masked 9 left out: a third is the second sequence
    losses = torch.tensor([[1.0, 9.0], [3.0, 3.0], [1.0, 3.0]]).double()
    mask = torch.tensor([[True, False], [True, True], [True, True]])
    near(loss_truncation(losses, mask, LATE, fraction=0.34), [1.0, 0.0, 1.0])
    near(loss_truncation(losses, mask, LATE, fraction=0.33), [1.0, 1.0, 1.0])
