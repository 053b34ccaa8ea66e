"""Pictures by scikit-learn's images and loops, how often hints are right."""

import statistics
from functools import cache

import pytest
from sklearn.datasets import load_digits

from lossbench.datasets.digit_prompts import digit_prompts
from tests.datasets.support import generator, splits


@cache
def every_picture():
    found = {}
    for image, digit in zip(*load_digits(return_X_y=True), strict=True):
        image = image.reshape(8, 8)
        greys = [image[r : r + 2, c : c + 2].mean() for r in range(0, 8, 2) for c in range(0, 8, 2)]
        text = "".join("abcd"[min(int(g // 4), 3)] for g in greys)
        found.setdefault(text, []).append(str(digit))
    return found


def digits_of(picture):
    """What completions are right: the digits of all images that look so."""
    return [[digit] for digit in every_picture()[picture]]


def test_pictures_and_answers():
    dataset = digit_prompts(generator=generator())
    names, seen = dataset.class_names, []
    for split in splits(dataset):
        for row, answer in zip(split.inputs.tolist(), split.labels["answers"].tolist(), strict=True):
            picture = "".join(names[token] for token in row[: dataset.picture_length])
            assert names[answer[0]] == every_picture()[picture][0] and answer[1] == dataset.end
            seen.append(picture)
    assert len(seen) == len(set(seen)) == len(every_picture())
    assert not any((split.inputs == dataset.hidden).any() for split in splits(dataset))


@pytest.mark.parametrize("part", [0.0, 0.3, 1.0])
def test_hints(part):
    split = digit_prompts(generator=generator(), hint_accuracy=part).train
    right = (split.inputs[:, -2] == split.labels["answers"][:, 0]).tolist()
    assert abs(statistics.mean(right) - part) < 0.05


def test_wrong_samples_say_what_a_wrong_hint_says():
    dataset = digit_prompts(generator=generator(), sample_accuracy=0.0, hint_accuracy=0.5, num_samples=500)
    names = dataset.class_names
    copied = []
    for row in dataset.samples.rows.tolist():
        picture, (hint, _, written, _) = "".join(names[t] for t in row[:16]), (names[t] for t in row[16:20])
        if hint not in every_picture()[picture]:
            copied.append(written == hint)
    assert all(copied) and 200 < len(copied) < 300
