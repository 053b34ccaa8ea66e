import torch

from lossbench.reweightings.likelihood_ratio import likelihood_ratio
from tests.losses.support import near, sample


def test_limit():  # equal densities: every example weighs 1
    near(likelihood_ratio(torch.ones(4)), [1.0] * 4)


def test_oracle():  # the weighted mean over one discrete distribution is the mean over the other
    source, target = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.3, 0.6])
    losses = torch.tensor([3.0, -1.0, 2.0])
    near((source * likelihood_ratio(target / source) * losses).sum(), (target * losses).sum(), 1e-6)


def test_hand():
    (ratios,) = sample("likelihood_ratios", tokens=True)
    assert torch.equal(likelihood_ratio(ratios), ratios)
