import math

import torch

from lossbench.losses.classification.adversarial_comp_sum import adversarial_comp_sum
from lossbench.losses.classification.comp_sum import comp_sum
from tests.losses.support import extreme, near, sample, stacked


def test_limit():  # weight = 0 and temperature = 1 is comp_sum, and so is an attack that shifts all scores alike
    clean, adversarial, targets = sample("clean_logits", "adversarial_logits", "targets")
    for moved, weight in ((adversarial, 0.0), (clean + 2.0, 3.0)):
        terms = adversarial_comp_sum(clean, moved, targets, tau=0.4, weight=weight)
        near(terms["comp_sum"] + terms["robust"], comp_sum(clean, targets, tau=0.4))


def test_oracle():  # both terms written out over the C - 1 margins
    clean, adversarial, targets = sample("clean_logits", "adversarial_logits", "targets")
    terms = adversarial_comp_sum(clean, adversarial, targets, tau=0.4, temperature=2.0, weight=1.5)
    for i, y in enumerate(targets):
        others = [c for c in range(5) if c != y]
        u = sum(math.exp((clean[i, c] - clean[i, y]) / 2) for c in others)
        near(terms["comp_sum"][i], ((1 + u) ** 0.6 - 1) / 0.6)
        before = [clean[i, y] - clean[i, c] for c in others]
        after = [adversarial[i, y] - adversarial[i, c] for c in others]
        near(terms["robust"][i], 1.5 * math.sqrt(sum((a - b) ** 2 for a, b in zip(after, before, strict=True))))


def test_hand():  # the true score falls by 3 and one other rises by 1: the margins fall by 4 and 3, norm 5
    clean = torch.zeros(1, 3, dtype=torch.float64)
    terms = adversarial_comp_sum(
        clean, torch.tensor([[-3.0, 1.0, 0.0]]).double(), torch.tensor([0]), weight=2.0, tau=0.0
    )
    near(terms["robust"], [10.0])
    near(terms["comp_sum"], [2.0])  # tau = 0 is the sum itself: e^0 + e^0


def test_bounds_the_ramp():  # why weight >= sqrt(C - 1) / temperature is enough: it bounds the attacked ramp losses
    generator = torch.Generator().manual_seed(0)
    clean, moved = (2 * torch.randn(2000, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    targets = torch.randint(5, (2000,), generator=generator)
    others = torch.ones(2000, 5, dtype=torch.bool).scatter(1, targets[:, None], False)
    for temperature in (0.5, 2.0):
        margins = (moved.gather(1, targets[:, None]) - moved)[others].view(2000, 4)
        ramp = (1 - margins / temperature).clamp(0, 1).sum(1)
        for tau in (0.4, 1.0, 1.5):
            attacked = torch.log1p(ramp) if tau == 1 else ((1 + ramp) ** (1 - tau) - 1) / (1 - tau)
            terms = adversarial_comp_sum(
                clean, moved, targets, tau=tau, temperature=temperature, weight=math.sqrt(4) / temperature
            )
            assert (attacked <= terms["comp_sum"] + terms["robust"] + 1e-9).all()


def test_extreme():  # tau = 1: the margins of 2e4 move to the other side, 4e4 for one and 2e4 for the other
    targets = torch.tensor([0, 1])
    clean = 2e4 * torch.eye(3)[:2]
    values, gradients = extreme(lambda c, a: adversarial_comp_sum(c, a, targets, tau=1.0), clean, clean.roll(1, -1))
    near(values[1], [math.hypot(4e4, 2e4)] * 2, 1e-6)
    values, gradients = extreme(lambda c, a: adversarial_comp_sum(c, a, targets), clean, clean)
    near(gradients[1], 0.0)  # nothing moved: no direction, and no NaN


def test_stacked():
    stacked(adversarial_comp_sum, tau=[0.4, 1.0, 1.5], temperature=[0.5, 1.0, 2.0], weight=[0.0, 1.0, 3.0])
