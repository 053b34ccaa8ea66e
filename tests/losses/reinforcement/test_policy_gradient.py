import torch

from lossbench.losses.reinforcement.policy_gradient import policy_gradient
from tests.losses.support import near, sample


def test_limit():  # without an advantage there is nothing to learn
    (token_logps,) = sample("token_logps")
    near(policy_gradient(token_logps, torch.zeros_like(token_logps)), 0.0)


def test_oracle():
    """Its mean over samples has the gradient of minus the expected reward, exactly where every token is one sample."""
    reward = torch.tensor([0.3, 1.0, -2.0, 0.5], dtype=torch.float64)
    logits = torch.tensor([0.1, -0.4, 0.7, 0.2], dtype=torch.float64, requires_grad=True)
    log_p = logits.log_softmax(0)
    values = policy_gradient(log_p.unsqueeze(0), reward.unsqueeze(0))
    (found,) = torch.autograd.grad((log_p.exp().detach() * values).sum(), logits)
    (expected,) = torch.autograd.grad(-(logits.softmax(0) * reward).sum(), logits)
    near(found, expected)


def test_hand():
    near(policy_gradient(torch.tensor([[-2.0, -0.5]]), torch.tensor([[3.0, -1.0]])), [[6.0, -0.5]])
