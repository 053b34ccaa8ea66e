import math

import torch
from torch.distributions import Categorical

from lossbench.regularizers.clamped_entropy import clamped_entropy, init_state
from lossbench.regularizers.confidence_penalty import confidence_penalty
from tests.losses.support import extreme, near, sample, stacked


def fresh():
    return {name: value.double() for name, value in init_state().items()}


def test_limit():  # all classes, a constant coefficient: the confidence penalty, for ever
    for tokens in (False, True):
        logits, mask = sample("logits", "mask", tokens=tokens)
        state = fresh()
        for _ in range(3):
            values, state = clamped_entropy(logits, mask, state, weight=0.3, dropped=0.0, rate=0.0, warm_up=0)
            near(values, confidence_penalty(logits, weight=0.3))
        near(clamped_entropy(logits, mask, fresh(), weight=0.0, rate=0.0)[0], 0.0)


def test_oracle():  # torch of the kept scores alone; the coefficient in Python, as it rises, falls, is bounded
    logits, mask = sample("logits", "mask", tokens=True)
    state, c, seen = fresh(), 0.1, []
    given = {"dropped": 0.4, "rate": 0.5, "lowest": 0.3, "highest": 0.6, "smallest": 0.05, "largest": 0.3, "warm_up": 1}
    for step, scale in enumerate((1.0, 1.0, 1.0, 1.0, 30.0, 30.0, 30.0, 30.0, 2.2, 0.1)):
        scaled = scale * logits
        values, state = clamped_entropy(scaled, mask, state, weight=0.1, **given)
        kept = scaled.sort(-1, descending=True).values[..., :3]  # of five classes
        entropy = Categorical(logits=kept).entropy()
        near(values, -c * entropy)
        mean = entropy[mask].mean().item()
        if step > 1:
            c = min(max(c - 0.5 * (min(0.0, mean - 0.3) + max(0.0, mean - 0.6)), 0.05), 0.3)
        seen.append(c)
        near(state["change"], c - 0.1)
    assert seen[:2] == [0.1, 0.1] and 0.3 in seen and 0.05 in seen


def test_hand():  # of 8, 4, 4 and 1 the last is dropped: 1/2, 1/4, 1/4, whose entropy is 3/2 log 2
    logits = torch.tensor([[8.0, 1.0, 4.0, 4.0]], dtype=torch.float64).log()
    values, state = clamped_entropy(
        logits, torch.tensor([True]), {"change": torch.tensor(0.1), "step": torch.tensor(7.0)}, weight=0.4,
        dropped=0.49, rate=0.1, lowest=0.0, highest=0.5 * math.log(2), smallest=0.0, largest=9.0, warm_up=3,
    )  # fmt: skip
    near(values, [-0.5 * 1.5 * math.log(2)], 1e-7)
    near(state["change"], 0.1 - 0.1 * math.log(2), 1e-6)
    assert state["step"] == 8


def test_gradient():  # dropped classes have none, and moves of theirs change nothing
    logits = torch.tensor([[2.0, -1.0, 0.5, -3.0]], dtype=torch.float64, requires_grad=True)
    values, _ = clamped_entropy(logits, torch.tensor([True]), fresh(), weight=1.0, dropped=0.5)
    own = torch.autograd.grad(values.sum(), logits)[0]
    near(own[0, [1, 3]], 0.0)
    pair = torch.tensor([[2.0, 0.5]], dtype=torch.float64, requires_grad=True)
    near(own[0, [0, 2]], torch.autograd.grad(confidence_penalty(pair, weight=1.0).sum(), pair)[0][0])


def test_extreme():
    far = torch.tensor([[6e4, 0.0, -6e4], [0.0, 0.0, 0.0]])
    extreme(clamped_entropy, far, torch.tensor([True, True]), init_state(), warm_up=0)
    extreme(
        clamped_entropy, far, torch.tensor([False, False]), {"change": torch.tensor(0.0), "step": torch.tensor(9.0)}
    )


def test_stacked():
    states = [{"change": torch.tensor(0.1 * k).double(), "step": torch.tensor(40.0).double()} for k in range(3)]
    stacked(clamped_entropy, {"state": states}, weight=[0.0, 0.1, 0.2], dropped=[0.0, 0.25, 0.5], rate=[0.0, 0.1, 0.2])
