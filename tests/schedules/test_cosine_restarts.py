import pytest
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from lossbench.errors import UsageError
from lossbench.schedules.cosine import cosine
from lossbench.schedules.cosine_restarts import cosine_restarts
from tests.schedules.support import curve, torch_curve


def test_limit():  # one budget is cosine
    assert curve(cosine_restarts, 70, warmup=6, budgets=[], final=0.1) == curve(cosine, 70, warmup=6, final=0.1)


def test_oracle():  # periods that double, as torch has them
    expected = torch_curve(CosineAnnealingWarmRestarts, 70, T_0=10, T_mult=2, eta_min=0.2)
    found = curve(cosine_restarts, 70, warmup=0, budgets=[10, 30], final=0.2)
    assert found == pytest.approx(expected, abs=1e-12)


def test_hand():  # a step of warm-up and a period of two, then one of four
    found = curve(cosine_restarts, 7, warmup=1, budgets=[3])
    assert found == pytest.approx([1, 1, 0.5, 1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2])


def test_warm_up_longer_than_the_first_budget_is_refused():
    with pytest.raises(UsageError, match="first budget has 25"):
        cosine_restarts(0, 100, warmup=26)
