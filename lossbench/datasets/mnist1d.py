"""MNIST-1D: 5,000 one-dimensional signals of 40 points, 10 classes; made here, equal to the published file.

Each signal is one of ten hand-drawn templates of 12 points that is padded, stretched, scaled, shifted, buried in
correlated and white noise, sheared and sampled at 40 points. Linear models reach 32 %, convolutions 94 %.

Source    Greydanus and Kobak 2020, arXiv:2011.14439; constants and order of the random draws of the released code
Licence   Apache 2.0 (the released code and file)
Inputs    [40], mean 0 and deviation 1 over all signals and points
Splits    the published 80 % train, 20 % test (4,000 and 1,000), of train 10 % for validation, stratified by class
"""

from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, MultipleOf
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split, carve

# The ten templates, as published: height of the pen at 12 equally spaced points.
TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
TEMPLATE_POINTS = 12
PADDING = (36, 60)  # zeros that are appended, least and most
CANVAS_POINTS = TEMPLATE_POINTS + PADDING[1]  # every padded signal is stretched to this length
SCALE = 0.4  # width of the range of the amplitude, around 1
MAX_SHIFT = 48  # the cyclic shift is below this
CORRELATED_NOISE = 0.25  # before it is smoothed by a Gaussian of 2 points; only where the padding was
WHITE_NOISE = 0.02
SHEAR = 0.75  # width of the range of the slope, around 0
SIGNAL_POINTS = 40
SMOOTHING = 2.0
SMOOTHING_RADIUS = 8  # four standard deviations


def mnist1d(
    *,
    generator: Generator,
    num_examples: Annotated[int, Ge(100), MultipleOf(10)] = 5000,
    signal_seed: Annotated[int, Ge(0)] = 42,
) -> Dataset:
    """generator draws the validation split; the signals and the test split depend on signal_seed alone.

    num_examples    of train, validation and test together, the same number of every class
    signal_seed       42 with 5000 examples is the published data set, value by value
    """
    per_class = num_examples // 10
    draws = np.random.RandomState(signal_seed)  # its stream is frozen by numpy, so that 42 stays the published file
    signals, targets = _signals(draws, per_class), np.repeat(np.arange(10), per_class)
    order = draws.permutation(num_examples)
    signals = (signals - signals.mean()) / signals.std()
    inputs = torch.from_numpy(signals[order]).float()
    whole = Split(inputs, {"targets": torch.from_numpy(targets[order])})
    published_train = int(num_examples * 0.8)
    validation, train = carve(whole.select(torch.arange(published_train)), 0.1, generator)
    return Dataset(
        train=train,
        validation=validation,
        test=whole.select(torch.arange(published_train, num_examples)),
        num_outputs=10,
        mean=inputs[:published_train].mean(),  # one number for all points
        std=inputs[:published_train].std(),
        class_names=[str(d) for d in range(10)],
    )


def _signals(draws: np.random.RandomState, per_class: int) -> np.ndarray:
    """[10 per_class, 40], sorted by class. One signal draws its numbers before the next; the rest is on all at once."""
    n = 10 * per_class
    padding, scale, shear = np.empty(n), np.empty(n), np.empty(n)
    shift = np.empty(n, dtype=np.int64)
    correlated, white = np.empty((n, CANVAS_POINTS)), np.empty((n, CANVAS_POINTS))
    for i in range(n):
        padding[i] = PADDING[0] + int(draws.rand() * (PADDING[1] - PADDING[0] + 1))
        scale[i] = 1 + SCALE * (draws.rand() - 0.5)
        shift[i] = draws.randint(0, MAX_SHIFT)
        correlated[i] = draws.randn(CANVAS_POINTS)
        white[i] = draws.randn(CANVAS_POINTS)
        shear[i] = SHEAR * (draws.rand() - 0.5)

    canvas, inside = _stretch(np.repeat(_templates(), per_class, axis=0), padding)
    shifted = (np.arange(CANVAS_POINTS) - shift[:, None]) % CANVAS_POINTS
    canvas = np.take_along_axis(canvas * scale[:, None], shifted, axis=1)
    inside = np.take_along_axis(inside, shifted, axis=1)
    canvas = np.where(inside, canvas, CORRELATED_NOISE * _smooth(correlated)) + WHITE_NOISE * white
    canvas = canvas - shear[:, None] * np.linspace(-0.5, 0.5, CANVAS_POINTS)
    return _sample(canvas, np.linspace(0, CANVAS_POINTS - 1, SIGNAL_POINTS)[None])


def _templates() -> np.ndarray:
    """[10, 12]: each of deviation 1/6, starting (and ending) at 0."""
    heights = np.array(TEMPLATES)
    return (heights - heights[:, :1]) / heights.std(1, keepdims=True) / 6


def _stretch(signals: np.ndarray, padding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Padded with so many zeros and stretched to the canvas, [n, 72], and where the template's part lies in it."""
    positions = np.linspace(0, 1, CANVAS_POINTS) * (TEMPLATE_POINTS + padding[:, None] - 1)
    padded = np.pad(signals, ((0, 0), (0, PADDING[1])))
    return _sample(padded, positions), positions < TEMPLATE_POINTS


def _sample(signals: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Linear interpolation of each signal at these positions, in points."""
    left = np.clip(positions.astype(np.int64), 0, signals.shape[1] - 2)
    weight = positions - left
    left = np.broadcast_to(left, (len(signals), left.shape[1]))
    return (1 - weight) * np.take_along_axis(signals, left, 1) + weight * np.take_along_axis(signals, left + 1, 1)


def _smooth(noise: np.ndarray) -> np.ndarray:
    """Each row convolved with a Gaussian; beyond its ends the row is mirrored."""
    kernel = np.exp(-0.5 * (np.arange(-SMOOTHING_RADIUS, SMOOTHING_RADIUS + 1) / SMOOTHING) ** 2)
    padded = np.pad(noise, ((0, 0), (SMOOTHING_RADIUS, SMOOTHING_RADIUS)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=1)
    return windows @ (kernel / kernel.sum())
