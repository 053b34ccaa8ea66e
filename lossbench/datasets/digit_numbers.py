"""Numbers of several digits: each example is a row of real handwritten digits, and its class is the number they write.

The class is the value of the number, so that there are 10^num_digits classes: 00 to 99 for two digits. For losses that
are for many classes.

Source    the images of the data set digits (Alpaydin and Kaynak 1998); the arrangement is lossbench's own
Licence   CC BY 4.0 (UCI)
Inputs    [1, 8, 8 num_digits], 0..16
Splits    the images are split as in digits, 60/20/20 %, then each split's numbers are made from its own images, so that
          no image is in numbers of two splits. Every class has examples_per_class training examples, a third of them
          (at least one) in validation and in test
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.digits import digits


def digit_numbers(
    *,
    generator: Generator,
    num_digits: Annotated[int, Interval(ge=1, le=4)] = 2,
    examples_per_class: Annotated[int, Ge(1)] = 30,
) -> Dataset:
    """generator draws the split of the images, then the image of each digit of each number, with replacement."""
    images = digits(generator=generator)
    held_out = max(1, examples_per_class // 3)
    train = _numbers(images.train, num_digits, examples_per_class, generator)
    classes = 10**num_digits
    assert isinstance(train.inputs, Tensor)
    return Dataset(
        train=train,
        validation=_numbers(images.validation, num_digits, held_out, generator),
        test=_numbers(images.test, num_digits, held_out, generator),
        num_outputs=classes,
        mean=train.inputs.mean(),
        std=train.inputs.std(),
        class_names=[f"{c:0{num_digits}d}" for c in range(classes)],
    )


def _numbers(split: Split, num_digits: int, per_class: int, generator: Generator) -> Split:
    images, targets = split.inputs, split.labels["targets"]
    assert isinstance(images, Tensor)
    numbers = torch.arange(10**num_digits).repeat_interleave(per_class)
    parts = []
    for place in reversed(range(num_digits)):
        digit = numbers // 10**place % 10
        chosen = torch.empty_like(numbers)
        for d in range(10):
            of_digit = (targets == d).nonzero().flatten()
            wanted = digit == d
            drawn = torch.randint(len(of_digit), (int(wanted.sum()),), generator=generator)
            chosen[wanted] = of_digit[drawn]
        parts.append(images[chosen])
    return Split(torch.cat(parts, -1), {"targets": numbers})
