import pytest
import torch

from lossbench.datasets.digits import digits
from lossbench.datasets.overlaid_digits import overlaid_digits
from tests.datasets.support import generator, splits


@pytest.mark.parametrize("shift", [0, 2])
def test_the_darker_of_two_digits_of_the_split(shift):
    dataset = overlaid_digits(generator=generator(), train_per_pair=3, held_out_per_pair=2, shift=shift)
    images = digits(generator=generator())  # the same generator draws the same split
    side = 8 + shift
    assert dataset.input_shape == (1, side, side) and [len(s) for s in splits(dataset)] == [300, 200, 200]
    for made, source in zip(splits(dataset), splits(images), strict=True):
        targets = made.labels["task_targets"]
        assert torch.bincount(targets[:, 0] * 10 + targets[:, 1]).unique().tolist() == [len(made) // 100]
        for i in range(20):  # some pair of images of these classes gives exactly this canvas
            first, second = (source.inputs[source.labels["targets"] == targets[i, q]][:, 0] for q in range(2))
            canvas = made.inputs[i, 0]
            fits = [c for c in first if (c <= canvas[:8, :8]).all()]
            found = False
            for a in fits:
                for b in second:
                    both = torch.zeros(2, side, side)
                    both[0, :8, :8], both[1, shift:, shift:] = a, b
                    found |= torch.equal(both.amax(0), canvas)
            assert found
