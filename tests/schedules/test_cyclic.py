from itertools import pairwise

import pytest
from torch.optim.lr_scheduler import CyclicLR

from lossbench.schedules.cyclic import cyclic
from tests.schedules.support import curve, torch_curve


@pytest.mark.parametrize("mode", ["triangular", "triangular2"])
def test_oracle(mode):
    expected = torch_curve(CyclicLR, 60, base_lr=0.1, max_lr=1.0, step_size_up=7, mode=mode, cycle_momentum=False)
    assert curve(cyclic, 60, half_cycle=7, lowest=0.1, mode=mode) == pytest.approx(expected, abs=1e-12)


def test_hand():  # 2 steps up, 2 down, from 0.2; the second peak is half as high over the bottom
    expected = [0.2, 0.6, 1, 0.6, 0.2, 0.4, 0.6, 0.4]
    assert curve(cyclic, 8, half_cycle=2, lowest=0.2, mode="triangular2") == pytest.approx(expected, abs=1e-12)


def test_fraction_is_of_the_run():
    assert curve(cyclic, 80, half_cycle=0.125) == curve(cyclic, 80, half_cycle=10)


def test_end_points():  # a whole number of cycles is back at the bottom just after the last step
    rates = curve(cyclic, 80)
    assert rates[0] == pytest.approx(0.1) and rates[10] == 1.0
    assert cyclic(80, 80) == pytest.approx(0.1)
    assert max(abs(a - b) for a, b in pairwise(rates)) == pytest.approx(0.9 / 10)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_short_runs(total):
    assert all(0.1 - 1e-12 <= rate <= 1 for rate in curve(cyclic, total))
