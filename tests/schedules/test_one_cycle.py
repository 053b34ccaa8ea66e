from itertools import pairwise

import pytest
from torch.optim.lr_scheduler import OneCycleLR

from lossbench.errors import UsageError
from lossbench.schedules.one_cycle import one_cycle
from tests.schedules.support import curve, torch_curve


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_oracle(shape, three_phase):
    expected = torch_curve(
        OneCycleLR,
        50,
        max_lr=1.0,
        total_steps=50,
        pct_start=0.3,
        anneal_strategy="cos" if shape == "cosine" else "linear",
        div_factor=25,
        final_div_factor=1e4,
        three_phase=three_phase,
        cycle_momentum=False,
    )
    # torch's defaults are ours: 1 / 25 at the start, 1 / 25 / 1e4 at the end
    assert curve(one_cycle, 50, shape=shape, three_phase=three_phase) == pytest.approx(expected, abs=1e-12)


def test_hand():  # from 0.2 to 1 in steps 0..2, down to 0.1 at step 5, in lines
    expected = [0.2, 0.6, 1, 0.7, 0.4, 0.1]
    assert curve(one_cycle, 6, warmup=3, initial=0.2, final=0.1, shape="linear") == pytest.approx(expected, abs=1e-12)
    expected = [0.2, 0.6, 1, 0.6, 0.2, 0.15, 0.1]  # three phases: down as fast as up, then on
    hyperparameters = {"warmup": 3, "initial": 0.2, "final": 0.1, "shape": "linear", "three_phase": True}
    assert curve(one_cycle, 7, **hyperparameters) == pytest.approx(expected, abs=1e-12)


def test_end_points():
    rates = curve(one_cycle, 100, warmup=0.3, initial=0.05, final=0.01)
    assert rates[0] == 0.05 and rates[29] == 1.0 and rates[99] == pytest.approx(0.01, abs=1e-12)
    assert max(abs(a - b) for a, b in pairwise(rates)) < 1.6 / 29  # slope of the cosine, pi / 2
    assert min(rates) >= 0.01 - 1e-12 and max(rates) == 1.0


@pytest.mark.parametrize("three_phase", [False, True])
def test_short_runs(three_phase):
    assert curve(one_cycle, 1, three_phase=three_phase) == [1.0]
    assert curve(one_cycle, 2, final=0.1, three_phase=three_phase) == pytest.approx([1.0, 0.1])
    assert curve(one_cycle, 2, warmup=2, initial=0.1) == pytest.approx([0.1, 1.0])
    assert all(0 < rate <= 1 for total in range(1, 12) for rate in curve(one_cycle, total, three_phase=three_phase))


def test_refusals():
    with pytest.raises(UsageError, match=r"schedule\.warmup=11"):
        one_cycle(0, 10, warmup=11)
    with pytest.raises(UsageError, match=r"schedule\.warmup=0\.7.*three_phase"):
        one_cycle(0, 10, warmup=0.7, three_phase=True)
