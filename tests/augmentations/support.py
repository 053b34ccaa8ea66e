"""What the tests of the augmentations share. Each test runs on the CPU, and on a GPU where there is one."""

import pytest
import torch

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def device_or_skip(name):
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device(name)


def batch(device="cpu", n=64, channels=3, height=7, width=10):
    """Random images, no value 0, and labels of three kinds; example i has the id 1000 + i."""
    draws = torch.Generator().manual_seed(7)
    made = {
        "x": torch.rand((n, channels, height, width), generator=draws) + 0.5,
        "targets": torch.randint(10, (n,), generator=draws),
        "labels": torch.rand((n, 4), generator=draws),
        "ids": torch.arange(1000, 1000 + n),
    }
    return {key: values.to(device) for key, values in made.items()}


def generator(device="cpu", seed=0):
    return torch.Generator(device).manual_seed(seed)


def apply(augmentation, given, **hyperparameters):
    """The augmented batch, after these checks: the given one stays as it is, the same generator gives the same, another
    one something else; shape, dtype, device and all other tensors are kept."""
    before = {key: values.clone() for key, values in given.items()}
    device = given["x"].device
    made, again, other = (augmentation(given, generator(device, seed), **hyperparameters) for seed in (0, 0, 1))
    assert given.keys() == before.keys() and all(torch.equal(given[key], before[key]) for key in given)
    assert torch.equal(made["x"], again["x"]) and not torch.equal(made["x"], other["x"])
    assert (made["x"].shape, made["x"].dtype, made["x"].device) == (given["x"].shape, given["x"].dtype, device)
    assert all(made[key] is given[key] for key in given if key != "x")
    return made


def partner_of(made, given):
    """Number of each example's partner, from the labels, after checking all of them; a permutation of the batch."""
    partner = made["partner"]
    assert partner.keys() == {"targets", "labels"}
    matches = (partner["labels"][:, None] == given["labels"][None]).all(-1)  # the labels are pairwise different
    index = matches.int().argmax(1)
    assert matches.sum(1).eq(1).all() and index.sort().values.tolist() == list(range(len(index)))
    assert torch.equal(partner["targets"], given["targets"][index])
    return index
