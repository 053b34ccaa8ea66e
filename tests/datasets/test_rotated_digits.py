import numpy as np
import pytest
import torch
from scipy import ndimage

from lossbench.datasets.digits import digits
from lossbench.datasets.rotated_digits import rotated_digits
from lossbench.errors import UsageError
from tests.datasets.support import generator, rows, splits


def test_without_a_rotation_it_is_the_digits():  # every image is in one domain and in one split
    turned, plain = (
        rotated_digits(generator=generator(), angles=[0.0, 0.0, 0.0], held_out=1),
        digits(generator=generator()),
    )
    everything = [*splits(turned), turned.extra["held_out_domain"]]
    inputs, targets = (
        torch.cat([get(s) for s in everything]) for get in (lambda s: s.inputs, lambda s: s.labels["targets"])
    )
    whole = [torch.cat([get(s) for s in splits(plain)]) for get in (lambda s: s.inputs, lambda s: s.labels["targets"])]
    np.testing.assert_allclose(rows(inputs.round(), targets), rows(*whole))


def test_domains():  # equal shares of each class; 60, 20, 20 % of each domain
    dataset = rotated_digits(generator=generator(), angles=[0.0, 15.0, 30.0, 45.0], held_out=2)
    outside = dataset.extra["held_out_domain"]
    assert outside.labels.keys() == {"targets"} and abs(len(outside) - 1797 / 4) <= 5
    assert dataset.num_groups == 3
    for split, share in zip(splits(dataset), (0.6, 0.2, 0.2), strict=True):
        sizes = torch.bincount(split.labels["groups"])
        assert len(sizes) == 3 and (sizes - share * 1797 / 4).abs().max() <= 6
        for group in range(3):
            classes = torch.bincount(split.labels["targets"][split.labels["groups"] == group])
            assert classes.max() - classes.min() <= 5


def test_each_domain_is_turned_by_its_angle():  # nearest to the mean images of
    # their classes where these are turned by that angle
    dataset = rotated_digits(generator=generator(), held_out=0)
    plain = digits(generator=generator()).train
    means = torch.stack([plain.inputs[plain.labels["targets"] == c].mean(0)[0] for c in range(10)]).numpy()
    angles = [0.0, 15.0, 30.0, 45.0, 60.0, 75.0]
    for group, angle in enumerate(angles[1:]):
        chosen = dataset.train.labels["groups"] == group
        images, targets = dataset.train.inputs[chosen, 0].numpy(), dataset.train.labels["targets"][chosen].numpy()
        errors = [
            (
                (
                    ndimage.rotate(means, other, axes=(2, 1), reshape=False, order=1, mode="grid-constant")[targets]
                    - images
                )
                ** 2
            ).mean()
            for other in angles
        ]
        assert angles[int(np.argmin(errors))] == angle


def test_refused():
    with pytest.raises(UsageError, match=r"held_out=6.*0\.\.5"):
        rotated_digits(generator=generator(), held_out=6)
