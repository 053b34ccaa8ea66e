import math

import pytest
import torch

from lossbench.losses.reinforcement.clipped_policy_gradient import clipped_policy_gradient, diagnostics
from lossbench.losses.reinforcement.policy_gradient import policy_gradient
from tests.losses.support import near, sample

WORDS = ("token_logps", "old_token_logps", "advantages", "mask")


def drawn(seed=0):
    return sample(*WORDS, tokens=True, seed=seed)


@pytest.mark.parametrize("level", ["token", "sequence", "geometric_mean"])
def test_limit(level):
    """Where the policy is still the one that sampled, the gradient is the policy gradient's: of a token; of a sequence
    spread over its tokens."""
    logps, _, advantages, mask = drawn()
    mask[:, 0] = True
    logps = torch.where(mask, logps, 0.0).requires_grad_()
    values = clipped_policy_gradient(logps, logps.detach(), advantages, mask, level=level)
    near(values, -advantages)
    (found,) = torch.autograd.grad(values[:, 0].sum() if level != "token" else values.sum(), logps)
    (expected,) = torch.autograd.grad(policy_gradient(logps, advantages).sum(), logps)
    shares = {"token": 1.0, "sequence": mask.double(), "geometric_mean": mask.double() / mask.sum(1, keepdim=True)}
    near(found, expected * shares[level])


@pytest.mark.parametrize("dual_clip", [None, 1.5])
@pytest.mark.parametrize("level", ["token", "sequence", "geometric_mean"])
def test_oracle(level, dual_clip):
    """Equation 7 of PPO, over Python numbers."""

    def slow(logps, old, advantages, mask):
        found = []
        for row, old_row, a_row, m_row in zip(*(t.tolist() for t in (logps, old, advantages, mask)), strict=True):
            changes = [x - y for x, y in zip(row, old_row, strict=True)]
            kept = [c for c, m in zip(changes, m_row, strict=True) if m]
            whole = {"sequence": sum(kept), "geometric_mean": sum(kept) / max(len(kept), 1)}
            out = []
            for change, a in zip(changes, a_row, strict=True):
                r = math.exp(whole.get(level, change))
                value = -min(r * a, min(max(r, 0.7), 1.1) * a)
                out.append(min(value, -dual_clip * a) if dual_clip and a < 0 else value)
            found.append(out)
        return found

    for seed in range(3):
        tensors = drawn(seed)
        found = clipped_policy_gradient(*tensors, clip_low=0.3, clip_high=0.1, level=level, dual_clip=dual_clip)
        near(found, slow(*tensors))


def test_hand():
    """Ratios 3/2 and 1/2 at advantages 2 and -2, clipped to 0.8 .. 1.2: what would make the step larger is cut."""
    logps = torch.tensor([[1.5, 0.5, 1.5, 0.5]], dtype=torch.float64).log()
    old, mask = torch.zeros_like(logps), torch.ones_like(logps, dtype=torch.bool)
    advantages = torch.tensor([[2.0, 2.0, -2.0, -2.0]], dtype=torch.float64)
    near(clipped_policy_gradient(logps, old, advantages, mask), [[-2.4, -1.0, 3.0, 1.6]])
    near(clipped_policy_gradient(logps, old, advantages, mask, dual_clip=1.25), [[-2.4, -1.0, 2.5, 1.6]])
    logps.requires_grad_()
    clipped_policy_gradient(logps, old, advantages, mask).sum().backward()
    near(logps.grad, [[0.0, -1.0, 3.0, 0.0]])


def test_diagnostics():
    logps = torch.tensor([[1.5, 0.5, 1.5, 0.5, 1.1]], dtype=torch.float64).log()
    advantages = torch.tensor([[2.0, 2.0, -2.0, -2.0, 2.0]], dtype=torch.float64)
    found = diagnostics(logps, torch.zeros_like(logps), advantages, torch.ones_like(logps, dtype=torch.bool))
    near(found["clipped_fraction"], [[1, 0, 0, 1, 0]])
    near(found["old_kl"], [[r - 1 - math.log(r) for r in (1.5, 0.5, 1.5, 0.5, 1.1)]])


def test_what_is_masked_does_not_count_in_a_sequence():
    logps, old, advantages, mask = drawn()
    other = torch.where(mask, logps, logps - 5)
    for level in ("sequence", "geometric_mean"):
        first, second = (clipped_policy_gradient(t, old, advantages, mask, level=level) for t in (logps, other))
        near(first, second)
