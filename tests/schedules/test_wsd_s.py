import pytest

from lossbench.errors import UsageError
from lossbench.schedules.wsd import wsd
from lossbench.schedules.wsd_s import wsd_s
from tests.schedules.support import curve


def test_limit():  # one budget is wsd; with a decay of 0 nothing but the warm-up is left
    options = {"warmup": 5, "shape": "linear", "final": 0.1}
    assert curve(wsd_s, 60, budgets=[], decay=0.2, **options) == curve(wsd, 60, decay=0.2, **options)
    assert curve(wsd_s, 60, budgets=[20, 40], decay=0.0, warmup=0) == [1.0] * 60


def test_segments():  # each segment after the first is a wsd of its own length without warm-up
    shape = {"shape": "cosine", "final": 0.2}
    whole = curve(wsd_s, 100, warmup=4, budgets=[30, 0.5], decay=0.3, **shape)
    assert whole[:30] == curve(wsd, 30, warmup=4, decay=9, **shape)
    assert whole[30:50] == curve(wsd, 20, warmup=0, decay=6, **shape)
    assert whole[50:] == curve(wsd, 50, warmup=0, decay=15, **shape)


def test_oracle():  # 1 / rate = (1 - u) + u / final in the last half of each segment
    found = curve(wsd_s, 16, warmup=0, budgets=[8], decay=0.5, final=0.25)
    once = [1, 1, 1, 1, *(1 / ((1 - u) + u / 0.25) for u in (0, 0.25, 0.5, 0.75))]
    assert found == pytest.approx([*once, *once])


def test_hand():  # two steps of warm-up, a budget at 4, the end at 8; the last step of each is half-way down to 0
    found = curve(wsd_s, 8, warmup=2, budgets=[4], decay=0.5, shape="linear", final=0.0)
    assert found == [0.5, 1, 1, 0.5, 1, 1, 1, 0.5]


@pytest.mark.parametrize("budgets", [[0.5, 0.25], [101], [0.5, 20]])
def test_disorder_is_refused(budgets):
    with pytest.raises(UsageError, match=r"schedule\.budgets"):
        wsd_s(0, 100, budgets=budgets)


def test_warm_up_longer_than_the_first_budget_is_refused():
    with pytest.raises(UsageError, match="first budget has 25 steps"):
        wsd_s(0, 100, warmup=24)
    assert wsd_s(0, 100, warmup=23) == 1 / 23
