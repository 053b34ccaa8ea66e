from lossbench.schedules.constant import constant
from tests.schedules.support import curve


def test_definition():
    assert curve(constant, 5) == [1.0] * 5
