import math

import pytest
import torch

from lossbench.datasets.digits import digits
from lossbench.errors import UsageError
from lossbench.tasks.domain_ensemble import DomainEnsemble, weighed_by_certainty
from tests.engine import parts, trainer

SMALL = ("dataset=rotated_digits", "task=domain_ensemble", "head=members", "loss=domain_specific_risk")


def random_heads():
    return 3 * torch.randn(20, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 5.0])
def test_mixture(gamma):  # the formula over the examples and heads
    for z, found in zip(random_heads(), weighed_by_certainty(random_heads(), gamma), strict=True):
        p = z.double().softmax(-1)
        weights = [-sum(q * math.log(q) for q in row) for row in p.tolist()]
        weights = [h**-gamma for h in weights]
        expected = sum(w / sum(weights) * row for w, row in zip(weights, p, strict=True))
        torch.testing.assert_close(found.exp().double(), expected, rtol=1e-4, atol=1e-6)


def test_the_most_certain_head_alone():
    for z, found in zip(random_heads(), weighed_by_certainty(random_heads(), -1.0), strict=True):
        entropies = torch.distributions.Categorical(logits=z).entropy()
        torch.testing.assert_close(found, z[entropies.argmin()].log_softmax(-1))


def test_certain_heads():  # entropy 0: finite, and it decides
    z = torch.tensor([[[200.0, 0.0], [0.0, 1.0], [0.0, 2.0]]])
    for gamma in (-1.0, 1.0, 5.0):
        found = weighed_by_certainty(z, gamma)
        assert not found.isnan().any() and found.softmax(-1)[0, 0] > 0.999
    both = torch.tensor([[[200.0, 0.0], [0.0, 200.0]]])
    torch.testing.assert_close(weighed_by_certainty(both, 5.0).exp(), torch.tensor([[0.5, 0.5]]))


def test_trains_and_measures_the_held_out_domain(tmp_path):
    made = trainer(tmp_path, *SMALL, "head.num_members=6", "budget.epochs=1")
    outcome = made.fit()
    assert outcome.status == "completed"
    assert 0 < outcome.best["test/held_out_domain/accuracy"] < 1 and "test/worst_group_accuracy" in outcome.best


def test_refused(tmp_path):
    with pytest.raises(UsageError, match=r"head\.num_members=6"):
        trainer(tmp_path, *SMALL, "head.num_members=3").fit()
    with pytest.raises(UsageError, match="dataset=rotated_digits"):
        DomainEnsemble(digits(generator=torch.Generator()), torch.device("cpu"))
    with pytest.raises(UsageError, match="domain_logits"):
        parts(tmp_path, "dataset=rotated_digits", "loss=domain_specific_risk")
