import math

import pytest
import torch

from lossbench.regularizers.confidence_penalty import confidence_penalty
from lossbench.regularizers.entropy_smoothing import entropy_smoothing, init_state
from tests.losses.support import extreme, near, sample, stacked


def state(total=0.0, count=0.0):
    return {"total": torch.tensor(total).double(), "count": torch.tensor(count).double()}


def test_limit():  # no penalty at first; with strength 0, the confidence penalty
    logits, mask = sample("logits", "mask", tokens=True)
    log_p = logits.log_softmax(-1)
    entropies, progress = -(log_p.exp() * log_p).sum(-1), torch.tensor(0.3)
    terms, _ = entropy_smoothing(entropies, mask, progress, state(), weight=0.2, form="hinge", high=0.1)
    near(terms["entropy"], confidence_penalty(logits, weight=0.2))
    near(terms["smoothing"], 0.0)
    near(entropy_smoothing(entropies, mask, progress, state(1.0, 2.0), strength=0.0, high=0.1)[0]["smoothing"], 0.0)


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("form", ["indicator", "hinge"])
def test_oracle(level, form):  # five steps with loops, the mean from a list of all means before, the code's phase
    own, means, outside, steps = state(), [], 0, 5
    for step in range(steps):
        entropies, mask = sample("token_entropies", "mask", tokens=True, seed=step)
        mask[:, 0] = True
        given = {"weight": 0.3, "strength": 0.7, "penalty": 0.2, "low": 0.8, "high": 1.2, "level": level, "form": form}
        terms, own = entropy_smoothing(entropies, mask, torch.tensor(step / steps, dtype=torch.float64), own, **given)
        half = steps / 2  # epochs of the authors' code
        first, second = 1 - 0.2 * (1 - math.exp(-2 * step / half)), 0.8 * math.exp(-3 * (step - half) / half)
        beta = first if step <= half else second
        for i, t in mask.nonzero().tolist():
            h = entropies[i, t].item() if level == "token" else entropies[i, mask[i]].mean().item()
            p = 0.0
            if means:
                m = sum(means) / len(means)
                if not 0.8 * m < h < 1.2 * m:
                    outside += 1
                    p = 0.2 if form == "indicator" else 0.2 * max(h / m - 1.2, 0.8 - h / m)
            near(terms["entropy"][i, t], -0.3 * entropies[i, t])
            near(terms["smoothing"][i, t], 0.3 * 0.7 * beta * p)
        means.append(entropies[mask].mean().item())
    assert outside > 50
    near(own["total"], sum(means))


def test_hand():  # a mean of 1/2 so far: 0.4 is inside of 0 to 2 times that, 1 and 1.5 are not
    entropies = torch.tensor([[0.4, 1.0, 1.5, 9.0]], dtype=torch.float64)
    mask, start = torch.tensor([[True, True, True, False]]), torch.zeros(())
    terms, new = entropy_smoothing(entropies, mask, start, state(1.5, 3.0), weight=2.0)
    near(terms["smoothing"][:, :3], [[0.0, 0.2, 0.2]])
    near(new["total"], 1.5 + 2.9 / 3)
    near(new["count"], 4.0)
    hinge, _ = entropy_smoothing(entropies, mask, start, state(1.5, 3.0), weight=2.0, form="hinge")
    near(hinge["smoothing"][:, :3], [[0.0, 0.0, 0.2]])
    for progress, phase in ((0.25, 1 - 0.2 * (1 - math.exp(-1))), (0.75, 0.8 * math.exp(-1.5))):
        later, _ = entropy_smoothing(entropies, mask, torch.tensor(progress).double(), state(1.5, 3.0), weight=2.0)
        near(later["smoothing"][0, 2], 0.2 * phase)


def test_gradient():  # the indicator adds nothing to that of the bonus, the hinge does where it is outside
    entropies, mask = sample("token_entropies", "mask", tokens=True)
    entropies.requires_grad_()
    for form, adds in (("indicator", False), ("hinge", True)):
        terms, new = entropy_smoothing(entropies, mask, torch.tensor(0.1), state(1.0, 2.0), form=form, high=0.5)
        assert not new["total"].requires_grad
        total = torch.stack([*terms.values()]).sum()
        own = torch.autograd.grad(total, entropies)[0]
        assert bool((own != -0.001).any()) == adds


def test_extreme():
    far, mask = torch.tensor([[6e4, 0.0]]), torch.tensor([[True, True]])
    extreme(entropy_smoothing, far, mask, torch.tensor(0.9), init_state(), form="hinge", low=1.0)
    extreme(entropy_smoothing, far, ~mask, torch.tensor(0.9), state(1e-9, 1.0), form="hinge", low=1.0)


def test_stacked():
    given = {"state": [state(1.0, 1.0), state(), state(9.0, 3.0)]}
    given["mask"] = [sample("mask", tokens=True, seed=seed)[0] for seed in range(3)]
    stacked(entropy_smoothing, given, weight=[0.0, 0.1, 0.2], penalty=[0.1, 0.2, 0.3], high=[1.0, 2.0, 0.5])
