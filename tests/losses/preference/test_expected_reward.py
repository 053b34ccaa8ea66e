import torch

from lossbench.losses.preference.expected_reward import expected_reward
from tests.losses.support import near, sample, stacked


def test_limit():  # beta = 0: the reward alone
    reward, kl = sample("policy_rewards", "policy_kl")
    found = expected_reward(reward, kl, beta=0.0)
    near(found["reward"], -reward)
    near(found["kl"], 0.0)


def test_oracle():  # its gradient is 0 at ref exp(r / beta), elsewhere REINFORCE summed over all completions
    draw = torch.Generator().manual_seed(0)
    r, ref, own = (torch.randn(7, generator=draw, dtype=torch.float64) for _ in range(3))
    ref = ref.log_softmax(0)

    def gradient(logits):
        logits = logits.detach().requires_grad_()
        log_p = logits.log_softmax(0)
        kl = (log_p.exp() * (log_p - ref)).sum()
        found = expected_reward((log_p.exp() * r).sum().reshape(1), kl.reshape(1), beta=0.3)
        return torch.autograd.grad(sum(found.values()).sum(), logits)[0]

    near(gradient(ref + r / 0.3), 0.0, 1e-12)
    p, expected = own.softmax(0), torch.zeros(7, dtype=torch.float64)
    for y in range(7):
        score = torch.nn.functional.one_hot(torch.tensor(y), 7) - p
        expected -= p[y] * (r[y] - 0.3 * (p[y].log() - ref[y])) * score
    near(gradient(own), expected)


def test_hand():
    found = expected_reward(torch.tensor([2.0]), torch.tensor([0.5]), beta=0.1)
    near(found["reward"], -2.0)
    near(found["kl"], 0.05, 1e-7)


def test_stacked():
    stacked(expected_reward, beta=[0.0, 0.1, 1.0])
