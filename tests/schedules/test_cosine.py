import pytest
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from lossbench.errors import UsageError
from lossbench.schedules.cosine import cosine
from tests.schedules.support import curve, torch_curve


def test_oracle():  # without a warm-up this is torch's CosineAnnealingLR
    expected = torch_curve(CosineAnnealingLR, 50, T_max=50, eta_min=0.1)
    assert curve(cosine, 50, warmup=0, final=0.1) == pytest.approx(expected, abs=1e-12)


def test_oracle_with_warmup():  # torch's LinearLR from 1/5 to 1 in 4 steps, then its cosine over the 20 steps that stay
    def both(optimizer):
        warmup = LinearLR(optimizer, start_factor=1 / 5, total_iters=4)
        return SequentialLR(optimizer, [warmup, CosineAnnealingLR(optimizer, T_max=20)], milestones=[5])

    assert curve(cosine, 25, warmup=0.2) == pytest.approx(torch_curve(both, 25), abs=1e-12)


def test_hand():  # 2 steps up, then u = 0, 1/4, 1/2, 3/4: (1 + cos(pi u)) / 2
    half = 0.5**0.5
    expected = [0.5, 1, 1, (1 + half) / 2, 0.5, (1 - half) / 2]
    assert curve(cosine, 6, warmup=2) == pytest.approx(expected, abs=1e-12)


def test_end_point():  # final just after the last step
    rates = curve(cosine, 10_000, final=0.2)
    assert 0.2 < rates[-1] < 0.2 + 1e-6
    assert cosine(10_000, 10_000, final=0.2) == pytest.approx(0.2, abs=1e-12)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_short_runs(total):
    assert all(0 < rate <= 1 for rate in curve(cosine, total))
    assert curve(cosine, total, warmup=total) == pytest.approx([(s + 1) / total for s in range(total)])


def test_refusal():
    with pytest.raises(UsageError, match=r"schedule\.warmup=11"):
        cosine(0, 10, warmup=11)
