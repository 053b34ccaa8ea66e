import torch

from lossbench.datasets.digits import digits
from lossbench.datasets.digits_bags import digits_bags
from tests.datasets.support import generator, splits


def test_bags_are_of_images_of_their_split_and_positive_where_a_nine_is_among_them():
    dataset = digits_bags(generator=generator(), train_bags=80, validation_bags=40, test_bags=60)
    images = digits(generator=generator())  # the same generator draws the same split
    assert dataset.input_shape == (10, 1, 8, 8) and [len(split) for split in splits(dataset)] == [80, 40, 60]
    for bags, source in zip(splits(dataset), splits(images), strict=True):
        class_of = {
            image.numpy().tobytes(): int(target)
            for image, target in zip(source.inputs, source.labels["targets"], strict=True)
        }
        for bag, target in zip(bags.inputs, bags.labels["targets"], strict=True):
            nines = sum(class_of[image.numpy().tobytes()] == 9 for image in bag)
            assert (1 <= nines <= 2) if target else nines == 0
        assert bags.labels["targets"].sum() == len(bags) // 2


def test_places_and_numbers_of_nines():  # 1000 positive bags: 500 with one, deviation 15.8; each place 150, 11.3
    dataset = digits_bags(generator=generator(), train_bags=2000, positive_digit=3)
    images = digits(generator=generator()).train
    threes = {i.numpy().tobytes() for i in images.inputs[images.labels["targets"] == 3]}
    shown = torch.tensor([[image.numpy().tobytes() in threes for image in bag] for bag in dataset.train.inputs])
    assert abs(int((shown.sum(1) == 1).sum()) - 500) < 64 and (shown.sum(0) - 150).abs().max() < 46
