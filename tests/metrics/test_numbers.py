import pytest
import torch

from lossbench.datasets.addition import addition
from lossbench.datasets.copying import copying
from lossbench.datasets.shakespeare import shakespeare
from lossbench.metrics.numbers import number_mae, number_values
from tests.losses.support import near


def test_values():
    draw = torch.Generator().manual_seed(0)
    assert number_values(addition(generator=draw))[:10].tolist() == list(range(10))
    assert number_values(addition(generator=draw))[10:].isnan().all()
    of_bytes = number_values(shakespeare(generator=draw))
    assert [i for i in range(256) if not of_bytes[i].isnan()] == [ord(d) for d in "0123456789"]
    assert of_bytes[ord("7")] == 7
    assert number_values(copying(generator=draw)).isnan().all()


@pytest.mark.parametrize("right", [True, False])
def test_hand(right):  # numbers 1, 3, 10; token 3 is none. 3 for 10: off by 7; none for 1: off by the range, 9; 3 for 3
    values = torch.tensor([1.0, 3.0, 10.0, torch.nan])
    predicted = torch.tensor([[1, 3, 1, 0, 0]])
    targets = torch.tensor([[2, 0, 1, 3, 2]])
    counts = torch.tensor([[True, True, True, True, False]])
    if right:
        predicted = targets
    near(number_mae(predicted, targets, counts, values), 0.0 if right else 16 / 3)
