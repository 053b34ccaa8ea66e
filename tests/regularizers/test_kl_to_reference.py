import math

import pytest
import torch

from lossbench.regularizers.kl_to_reference import kl_to_reference
from tests.losses.support import near, sample


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_limit(estimator):  # no distance from itself; weight 0 is no penalty
    logps, ref = sample("token_logps", "ref_token_logps")
    near(kl_to_reference(logps, logps, estimator=estimator), 0.0)
    near(kl_to_reference(logps, ref, estimator=estimator, weight=0.0), 0.0)


def distributions():
    logits = torch.tensor([0.3, -0.8, 1.1, 0.0], dtype=torch.float64, requires_grad=True)
    return logits, logits.log_softmax(0), torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).log()


def mean(log_p, log_q, estimator):
    """Over all tokens, as often as the policy samples them; the sampling carries no gradient."""
    values = kl_to_reference(log_p.unsqueeze(0), log_q.unsqueeze(0), weight=1.0, estimator=estimator)
    return (log_p.exp().detach() * values).sum()


def test_oracle():
    """The values of k1 and k3 are those of KL(policy || reference) on average; the gradients are as the docstring
    says."""
    logits, log_p, log_q = distributions()
    kl = (log_p.exp() * (log_p - log_q)).sum()
    near(mean(log_p, log_q, "k1").detach(), kl.detach())
    near(mean(log_p, log_q, "k3").detach(), kl.detach())
    other = (log_q.exp() * (log_q - log_p)).sum()
    expected = {"k1": torch.zeros_like(logits), "k2": torch.autograd.grad(kl, logits, retain_graph=True)[0]}
    expected["k3"] = torch.autograd.grad(other, logits, retain_graph=True)[0]
    for estimator, gradient in expected.items():
        near(torch.autograd.grad(mean(log_p, log_q, estimator), logits, retain_graph=True)[0], gradient)


def test_hand():  # twice as likely as under the reference, weight 1/2
    logps, ref = (torch.tensor([[math.log(p)]], dtype=torch.float64) for p in (0.5, 0.25))
    for estimator, value in (("k1", math.log(2)), ("k2", math.log(2) ** 2 / 2), ("k3", 0.5 - 1 + math.log(2))):
        near(kl_to_reference(logps, ref, weight=0.5, estimator=estimator), [[value / 2]])
