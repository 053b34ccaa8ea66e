import math

import pytest
import torch
from scipy.stats import entropy

from lossbench.regularizers.counterfactual_constraint import counterfactual_constraint, init_state
from tests.losses.support import near, sample


def divergence(logits, other):
    return torch.from_numpy(entropy(logits.softmax(-1).numpy(), other.softmax(-1).numpy(), axis=-1))


def test_limit():  # a constraint that holds at the start never gets a multiplier
    state = init_state()
    for seed in range(3):
        logits, other = sample("logits", "counterfactual_logits", seed=seed)
        values, state = counterfactual_constraint(logits, other, state, level=100.0, dual_rate=5.0)
        near(values, torch.zeros(6))
    assert state["multiplier"] == 0 and state["step"] == 3


@pytest.mark.parametrize(("primal_steps", "level"), [(1, 0.1), (1, 0.9), (3, 0.1)])
def test_oracle(primal_steps, level):  # dual ascent as a loop over steps: descend primal_steps times, then ascend
    state = {"multiplier": torch.tensor(0.0, dtype=torch.float64), "step": torch.tensor(0.0)}
    multiplier = 0.0
    for step in range(8):
        logits, other = sample("logits", "counterfactual_logits", seed=step)
        violation = divergence(logits, other) - level
        if step in ((1, 2, 3, 4, 5, 6, 7) if primal_steps == 1 else (3, 6)):
            multiplier = max(0.0, multiplier + 0.3 * violation.mean().item())
        values, state = counterfactual_constraint(
            logits, other, state, level=level, dual_rate=0.3, primal_steps=primal_steps
        )
        near(values, multiplier * violation)
        near(state["multiplier"], multiplier)


def test_hand():  # KL((1/2, 1/2) || (1/4, 3/4)) = log(2) / 2 + log(2/3) / 2 = 0.1438; multiplier 1 + 2 (0.1438 - 0.1)
    logits, other = (torch.tensor([p], dtype=torch.float64).log() for p in ([0.5, 0.5], [0.25, 0.75]))
    state = {"multiplier": torch.tensor(1.0, dtype=torch.float64), "step": torch.tensor(5.0)}
    excess = (math.log(2) + math.log(2 / 3)) / 2 - 0.1
    values, new = counterfactual_constraint(logits, other, state, level=0.1, dual_rate=2.0)
    near(values, [(1 + 2 * excess) * excess])
    near(new["multiplier"], 1 + 2 * excess)


def test_gradient():  # the multiplier is a constant, and both sides of the divergence are trained
    logits, other = (t.requires_grad_() for t in sample("logits", "counterfactual_logits"))
    state = {"multiplier": torch.tensor(1.5, dtype=torch.float64), "step": torch.tensor(2.0)}
    values, new = counterfactual_constraint(logits, other, state, level=0.0, dual_rate=0.5)
    found = torch.autograd.grad(values.sum(), [logits, other])
    p, q = logits.detach().softmax(-1), other.detach().softmax(-1)
    log_ratio = p.log() - q.log()
    near(found[0], new["multiplier"] * p * (log_ratio - (p * log_ratio).sum(-1, keepdim=True)))
    near(found[1], new["multiplier"] * (q - p))


def test_solves_a_constrained_problem():
    """Logits (0, f) and counterfactually (0, 0); something pulls f to 3; the divergence may be 0.05. At the solution
    the constraint is active, and the multiplier is the ratio of the two gradients there."""
    f = torch.zeros((), dtype=torch.float64, requires_grad=True)
    state = {name: value.double() for name, value in init_state().items()}
    zero = torch.zeros((), dtype=torch.float64)
    for _ in range(6000):
        logits = torch.stack([zero, f])[None]
        values, state = counterfactual_constraint(logits, torch.zeros_like(logits), state, level=0.05, dual_rate=0.3)
        (gradient,) = torch.autograd.grad((f - 3).square() / 2 + values.mean(), f)
        with torch.no_grad():
            f -= 0.02 * gradient
    p = torch.sigmoid(f.detach())
    near(p * (2 * p).log() + (1 - p) * (2 * (1 - p)).log(), 0.05, 1e-4)
    near(state["multiplier"], (3 - f.detach()) / (f.detach() * p * (1 - p)), 1e-3)
