import torch

from lossbench.datasets.key_words import CLASSES, COMPANIONS, KEYS, OTHERS, key_words
from tests.datasets.support import generator, splits


def test_rationales_are_key_words_of_the_class_that_are_there():
    for split in splits(key_words(generator=generator(), key=3)):
        words, rationales, targets = split.inputs, split.labels["rationales"], split.labels["targets"]
        assert ((rationales == 0) | (words == 1)).all() and (rationales.sum(1) == 3).all()
        place = rationales.nonzero()
        assert torch.equal(place[:, 1] // KEYS, targets[place[:, 0]])
        own = torch.stack([words[i, y * KEYS : (y + 1) * KEYS] for i, y in enumerate(targets.tolist())])
        assert (own.sum(1) == 3).all()  # no other key word of the class


def test_how_often():
    split = key_words(generator=generator(), num_examples=20_000).train
    of_first = split.labels["targets"] == 0
    start = CLASSES * KEYS
    expected = [(of_first, slice(KEYS, start), 0.05), (of_first, slice(start, start + COMPANIONS), 0.3),
                (~of_first, slice(start, start + COMPANIONS), 0.1), (of_first, slice(-OTHERS, None), 0.1),
                (of_first, slice(0, KEYS), 2 / KEYS)]  # fmt: skip
    for rows, columns, chance in expected:
        assert abs(split.inputs[rows][:, columns].mean() - chance) < 0.005
