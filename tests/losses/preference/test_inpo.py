import torch

from lossbench.losses.preference.inpo import inpo
from lossbench.losses.preference.ipo import ipo
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps", "old_chosen_logps",
         "old_rejected_logps")  # fmt: skip


def test_limit():  # tau = eta: ipo, whatever the old policy; tau = 0: whatever the reference
    values = sample(*WORDS)
    near(inpo(*values, eta=0.3, tau=0.3), ipo(*values[:4], beta=0.3))
    shifted = [*values[:2], values[2] - 1, values[3] + 2, *values[4:]]
    near(inpo(*shifted, eta=0.3, tau=0.0), inpo(*values, eta=0.3, tau=0.0))
    assert (inpo(*shifted, eta=0.3, tau=0.1) - inpo(*values, eta=0.3, tau=0.1)).abs().min() > 0.01


def test_oracle():  # the minimum over all pairs that the old policy samples is the step of mirror descent, whose
    # exponent is the expected win rate; preferences that no reward has
    draw = torch.Generator().manual_seed(0)
    n, eta, tau = 5, 0.7, 0.2
    ref, old = (torch.randn(n, generator=draw, dtype=torch.float64).log_softmax(0) for _ in range(2))
    odds = 3 * torch.randn(n, n, generator=draw, dtype=torch.float64)
    table = (odds - odds.mT).sigmoid()
    logits = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=500, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )
    better, worse = (index.flatten() for index in torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"))
    weights = old.exp()[better] * old.exp()[worse] * table[better, worse]

    def closure():
        optimizer.zero_grad()
        log_p = logits.log_softmax(0)
        pairs = [p[side] for p in (log_p, ref, old) for side in (better, worse)]
        value = (weights * inpo(*pairs, eta=eta, tau=tau)).sum()
        value.backward()
        return value

    optimizer.step(closure)
    expected = []
    for y in range(n):
        rate = sum(old[z].exp().item() * table[y, z].item() for z in range(n))
        expected.append(rate / eta + tau / eta * ref[y].item() + (1 - tau / eta) * old[y].item())
    near(logits.detach().log_softmax(0), torch.tensor(expected, dtype=torch.float64).log_softmax(0), 1e-6)


def test_hand():  # h = 2 - 1/4 * 4 - 3/4 * (-4) = 4, 1 / (2 eta) = 1
    values = [torch.tensor([v], dtype=torch.float64) for v in (-1.0, -3.0, -2.0, -6.0, -5.0, -1.0)]
    near(inpo(*values, eta=0.5, tau=0.125), 9.0)


def test_extreme():
    far = torch.tensor([-6e4, 0.0])
    extreme(inpo, far, far.flip(0), torch.zeros(2), far, far, torch.zeros(2))


def test_stacked():
    stacked(inpo, eta=[0.0075, 0.1, 1.0], tau=[0.0025, 0.1, 0.0])
