import torch

from lossbench.datasets.digit_numbers import digit_numbers
from lossbench.datasets.digits import digits
from tests.datasets.support import generator, splits


def test_every_digit_is_an_image_of_its_split_and_the_class_is_the_number():
    dataset = digit_numbers(generator=generator(), num_digits=3, examples_per_class=1)
    images = digits(generator=generator())  # the same generator draws the same split
    assert dataset.input_shape == (1, 8, 24) and dataset.num_outputs == 1000
    assert dataset.class_names[:2] == ["000", "001"] and dataset.class_names[-1] == "999"
    for numbers, source in zip(splits(dataset), splits(images), strict=True):
        class_of = {
            image.numpy().tobytes(): int(target)
            for image, target in zip(source.inputs, source.labels["targets"], strict=True)
        }
        for image, target in zip(numbers.inputs, numbers.labels["targets"], strict=True):
            written = [class_of[image[:, :, 8 * i : 8 * i + 8].contiguous().numpy().tobytes()] for i in range(3)]
            assert written[0] * 100 + written[1] * 10 + written[2] == int(target)


def test_sizes():
    dataset = digit_numbers(generator=generator(), examples_per_class=12)
    for split, size in zip(splits(dataset), (12, 4, 4), strict=True):
        assert torch.bincount(split.labels["targets"], minlength=100).tolist() == [size] * 100


def test_images_are_drawn_evenly():  # 300 tens digits of class 0, each of its about 107 images equally likely
    inputs = digit_numbers(generator=generator()).train.inputs[:300, :, :, :8]
    assert len(inputs.flatten(1).unique(dim=0)) > 85  # 107 (1 - (1 - 1/107)^300) = 100
