import pytest
from torch.optim.lr_scheduler import LinearLR

from lossbench.errors import UsageError
from lossbench.schedules.linear_decay import linear_decay
from tests.schedules.support import curve, torch_curve


def test_oracle():  # torch's LinearLR from 1 to final over the whole run
    expected = torch_curve(LinearLR, 50, start_factor=1.0, end_factor=0.1, total_iters=50)
    assert curve(linear_decay, 50, warmup=0, final=0.1) == pytest.approx(expected, abs=1e-12)


def test_hand():  # 2 steps up, then 1, 3/4, 1/2, 1/4: 0 would be the step after the last
    assert curve(linear_decay, 6, warmup=2) == pytest.approx([0.5, 1, 1, 0.75, 0.5, 0.25], abs=1e-12)
    assert curve(linear_decay, 4, warmup=0, final=0.6) == pytest.approx([1, 0.9, 0.8, 0.7], abs=1e-12)


def test_end_point():
    assert linear_decay(20, 20, final=0.2) == pytest.approx(0.2, abs=1e-12)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_short_runs(total):
    assert all(0 < rate <= 1 for rate in curve(linear_decay, total))
    assert curve(linear_decay, total, warmup=total)[-1] == 1.0


def test_refusal():
    with pytest.raises(UsageError, match=r"schedule\.warmup=11"):
        linear_decay(0, 10, warmup=11)
