from itertools import pairwise
from math import cos, pi, sqrt

import pytest
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LinearLR, PolynomialLR

from lossbench.errors import UsageError
from lossbench.schedules.wsd import wsd
from tests.schedules.support import curve, torch_curve

SHAPES = ["linear", "cosine", "mirror_cosine", "square", "sqrt", "one_minus_sqrt", "exponential", "inverse_linear"]


def decay_of(shape: str, steps: int, final: float = 0.0) -> list[float]:
    """The last steps of a run with a plateau before them."""
    return curve(wsd, steps + 3, warmup=0, decay=steps, shape=shape, final=final)[3:]


def test_hand():  # 4 steps up, 2 at the peak, 4 down: 1 - sqrt(u) at u = 0, 1/4, 1/2, 3/4
    expected = [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.5, 1 - sqrt(1 / 2), 1 - sqrt(3 / 4)]
    assert curve(wsd, 10, warmup=4, decay=4, shape="one_minus_sqrt") == pytest.approx(expected, abs=1e-12)


def test_fractions_are_of_the_run():
    assert curve(wsd, 100, warmup=0.29, decay=0.2) == curve(wsd, 100, warmup=29, decay=20)
    assert curve(wsd, 7, warmup=0.5, decay=0.5) == curve(wsd, 7, warmup=3, decay=3)  # rounded down: they fit


def test_warmup_oracle():  # torch's LinearLR from 1/8 to 1 in 7 steps
    warmup = curve(wsd, 20, warmup=8, decay=5)[:8]
    assert warmup == pytest.approx(torch_curve(LinearLR, 8, start_factor=1 / 8, total_iters=7), abs=1e-12)


@pytest.mark.parametrize(
    ("shape", "final", "scheduler", "arguments"),
    [
        ("linear", 0.1, LinearLR, {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 9}),
        ("cosine", 0.1, CosineAnnealingLR, {"T_max": 9, "eta_min": 0.1}),
        ("sqrt", 0.0, PolynomialLR, {"total_iters": 9, "power": 0.5}),
        ("exponential", 0.1, ExponentialLR, {"gamma": 0.1 ** (1 / 9)}),
    ],
)
def test_decay_oracle(shape, final, scheduler, arguments):
    assert decay_of(shape, 9, final) == pytest.approx(torch_curve(scheduler, 9, **arguments), abs=1e-12)


def test_other_shapes_by_hand():
    assert decay_of("square", 4) == pytest.approx([1, 15 / 16, 3 / 4, 7 / 16], abs=1e-12)
    assert decay_of("mirror_cosine", 4)[1] == pytest.approx(2 * 3 / 4 - (1 + cos(pi / 4)) / 2, abs=1e-12)
    # 1 / ((1 - u) + u / final) with final = 1/2: 1, 1/1.25, 1/1.5, 1/1.75
    assert decay_of("inverse_linear", 4, 0.5) == pytest.approx([1, 4 / 5, 2 / 3, 4 / 7], abs=1e-12)
    assert decay_of("one_minus_sqrt", 4, 0.1)[1] == pytest.approx(0.1 + 0.9 * 0.5, abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_end_points(shape):  # 1 at the first step of the decay, close to final at the last of many, and never below it
    rates = decay_of(shape, 100_000, final=0.01)
    assert rates[0] == pytest.approx(1, abs=1e-12)
    assert 0.01 < rates[-1] < 0.01 + 4e-3  # sqrt(1 - u) falls most slowly: sqrt(1e-5) = 3.2e-3 above final
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_joints(shape):  # a long run has no jump larger than the steepest slope gives: sqrt(u) jumps by sqrt(1/d)
    rates = curve(wsd, 10_000, warmup=2_000, decay=5_000, shape=shape, final=0.05)
    assert max(abs(a - b) for a, b in pairwise(rates)) < sqrt(1 / 5_000)
    assert rates[1_999] == rates[2_000] == rates[4_999] == rates[5_000] == 1.0


@pytest.mark.parametrize("total", [1, 2, 3])
def test_short_runs(total):
    assert all(0 < rate <= 1 for rate in curve(wsd, total))
    assert curve(wsd, total, warmup=total, decay=0)[-1] == 1.0


def test_refusals():
    with pytest.raises(UsageError, match=r"schedule\.warmup=6 and schedule\.decay=5"):
        wsd(0, 10, warmup=6, decay=5)
    with pytest.raises(UsageError, match=r"schedule\.warmup=11"):
        wsd(0, 10, warmup=11, decay=0)
    with pytest.raises(UsageError, match=r"schedule\.final"):
        wsd(0, 10, shape="exponential", final=0.0)
