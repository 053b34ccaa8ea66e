import math

import pytest
import torch

from lossbench.reweightings.entropy_change import entropy_change
from tests.losses.support import near, sample

WORDS = ("token_logps", "old_token_logps", "token_entropies", "advantages", "mask")


def values(seed=0):
    return sample(*WORDS, tokens=True, seed=seed)


def test_limit():  # all count the same
    near(entropy_change(*values(), smallest=1.0), 1.0)
    near(entropy_change(*values(), form="linear", smallest=1.0, largest=1.0), 1.0)


@pytest.mark.parametrize("form", ["exponential", "linear"])
def test_oracle(form):  # with loops, as the authors' code has it: exp(-k c) cut to [smallest, 1]
    for seed in range(3):
        logps, old, entropies, advantages, mask = values(seed)
        found = entropy_change(logps, old, entropies, advantages, mask, form=form, smallest=0.6, largest=1.5)
        changes = {}
        for i, t in mask.nonzero().tolist():
            p, before = math.exp(logps[i, t]), math.exp(old[i, t])
            slope = advantages[i, t].item() / before * p * (1 - p) * (math.log(p) + entropies[i, t].item())
            changes[i, t] = abs(slope)
        most, fewest = max(changes.values()), min(changes.values())
        for (i, t), change in changes.items():
            if form == "exponential":
                k = -math.log(0.6) / max(most, 0.02)
                near(found[i, t], min(max(math.exp(-k * change), 0.6), 1.0))
            else:
                near(found[i, t], 1.5 - (change - fewest) / (most - fewest) * 0.9)


def test_hand():  # p = 1/2 of 1/2 before, H = 0: c = A log 2 / 2; one is twice the other, which has the root
    logps = torch.full((1, 3), math.log(0.5), dtype=torch.float64)
    zeros, mask = torch.zeros(1, 3, dtype=torch.float64), torch.tensor([[True, True, False]])
    advantages = torch.tensor([[1.0, -2.0, 50.0]], dtype=torch.float64)
    near(entropy_change(logps, logps, zeros, advantages, mask)[:, :2], [[0.8**0.5, 0.8]])
    near(entropy_change(logps, logps, zeros, advantages, mask, form="linear")[:, :2], [[1.2, 0.8]])
    # 1/4 before: c = log 2 and 2 log 2, which least is four times of
    found = entropy_change(logps, logps - math.log(2), zeros, advantages, mask, least=8 * math.log(2))
    near(found[:, :2], [[0.8**0.125, 0.8**0.25]])


def test_first_order():  # a small step on one logit changes the entropy by p c times the rate
    logits = torch.tensor([1.0, 0.3, -0.5, -2.0], dtype=torch.float64)
    log_p, rate = logits.log_softmax(-1), 1e-6
    entropy = -(log_p.exp() * log_p).sum()
    one = torch.ones(1, 1, dtype=torch.float64)
    signs = set()
    for token in range(4):
        p = log_p[token].exp()
        moved = logits.clone()
        moved[token] += rate * (1 - p)  # the gradient of log p of the token by its own logit
        after = moved.log_softmax(-1)
        change = (-(after.exp() * after).sum() - entropy) / rate
        given = (log_p[token].view(1, 1), log_p[token].view(1, 1), entropy.view(1, 1), one, one.bool())
        c = entropy_change(*given, least=10.0, smallest=0.5).log() / math.log(0.5) * 10
        near(p * c, change.abs(), 1e-5)
        signs.add(bool(change > 0))
    assert signs == {True, False}
