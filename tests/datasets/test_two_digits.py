import torch

from lossbench.datasets.digits import digits
from lossbench.datasets.two_digits import two_digits
from tests.datasets.support import generator, splits


def test_both_halves_are_images_of_the_split_and_their_classes_the_digits():
    dataset = two_digits(generator=generator(), train_per_class=3, held_out_per_class=2)
    images = digits(generator=generator())  # the same generator draws the same split
    assert dataset.input_shape == (1, 8, 16) and [len(split) for split in splits(dataset)] == [300, 200, 200]
    for pairs, source in zip(splits(dataset), splits(images), strict=True):
        assert torch.bincount(pairs.labels["targets"]).unique().tolist() == [len(pairs) // 100]
        class_of = {
            image.numpy().tobytes(): int(target)
            for image, target in zip(source.inputs, source.labels["targets"], strict=True)
        }
        for image, target in zip(pairs.inputs, pairs.labels["targets"], strict=True):
            shown = [class_of[half.contiguous().numpy().tobytes()] for half in image.split(8, -1)]
            assert shown == [int(target) // 10, int(target) % 10]
