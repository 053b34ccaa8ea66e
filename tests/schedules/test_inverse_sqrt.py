import pytest

from lossbench.errors import UsageError
from lossbench.schedules.inverse_sqrt import inverse_sqrt
from tests.schedules.support import curve


def test_oracle():  # equation 3 of the paper for width 512 and 40 warm-up steps, divided by its largest value
    paper = [512**-0.5 * min(n**-0.5, n * 40**-1.5) for n in range(1, 201)]
    expected = [rate / max(paper) for rate in paper]
    assert curve(inverse_sqrt, 200, warmup=40) == pytest.approx(expected, abs=1e-12)
    assert curve(inverse_sqrt, 200, warmup=0.2) == pytest.approx(expected, abs=1e-12)


def test_hand():  # the peak at update number w, half of it at 4 w
    rates = curve(inverse_sqrt, 100, warmup=10)
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1.0 and rates[39] == pytest.approx(0.5)


def test_without_warmup():
    assert curve(inverse_sqrt, 3, warmup=0) == pytest.approx([1, 2**-0.5, 3**-0.5])


@pytest.mark.parametrize("total", [1, 2, 3])
def test_short_runs(total):
    assert all(0 < rate <= 1 for rate in curve(inverse_sqrt, total))


def test_refusal():
    with pytest.raises(UsageError, match=r"schedule\.warmup=11"):
        inverse_sqrt(0, 10, warmup=11)
