import math

import pytest
import torch

from lossbench.augmentations.hamming_noise import hamming_noise
from lossbench.errors import UsageError
from tests.augmentations.support import DEVICES, batch, device_or_skip, generator


def sequences(n=8000, device="cpu"):
    """Targets 3, 5, 7 or 9 at four places that count and 1 at others; inputs are the targets before."""
    draws = torch.Generator().manual_seed(3)
    targets = torch.randint(4, (n, 6), generator=draws) * 2 + 3
    counts = torch.tensor([False, True, True, True, True, False]).expand(n, -1)
    targets[~counts] = 1
    x = torch.cat([torch.full((n, 1), 8), targets[:, :-1]], 1)
    return {k: v.to(device) for k, v in {"x": x, "targets": targets, "mask": counts, "ids": torch.arange(n)}.items()}


@pytest.mark.parametrize("name", DEVICES)
def test_distances(name):  # P(d) ~ C(4, d) 3^d exp(-d / temperature), mixed with nothing
    device = device_or_skip(name)
    given = sequences(device=device)
    for alpha, temperature in ((1.0, 0.5), (0.3, 1.0)):
        made = hamming_noise(given, generator(device), alpha=alpha, temperature=temperature)
        raw = [math.comb(4, d) * 3**d * math.exp(-d / temperature) for d in range(5)]
        share = [alpha * r / sum(raw) + (1 - alpha) * (d == 0) for d, r in enumerate(raw)]
        distance = (made["targets"] != given["targets"]).sum(1)
        found = torch.bincount(distance.cpu(), minlength=5) / len(distance)
        assert (found - torch.tensor(share)).abs().max() < 4 * math.sqrt(0.25 / 8000), (alpha, temperature)


def test_what_is_changed():  # to the three others alike; inputs follow; what does not count stays, and the given batch
    given = sequences()
    before = {key: values.clone() for key, values in given.items()}
    made = hamming_noise(given, generator(), alpha=1.0, temperature=5.0)
    changed = made["targets"] != given["targets"]
    assert changed[given["mask"]].any() and not changed[~given["mask"]].any()
    for own in (3, 5, 7, 9):
        to = made["targets"][changed & (given["targets"] == own)]
        counts = torch.bincount(to, minlength=10)
        assert counts.nonzero().flatten().tolist() == [v for v in (3, 5, 7, 9) if v != own]
        assert (counts[counts > 0] / len(to) - 1 / 3).abs().max() < 0.03
    assert torch.equal(made["x"][:, 1:], made["targets"][:, :-1]) and (made["x"][:, 0] == 8).all()
    assert all(torch.equal(given[key], before[key]) for key in given)
    again = hamming_noise(given, generator(), alpha=1.0, temperature=5.0)
    assert torch.equal(again["targets"], made["targets"])


def test_nothing_to_change():  # one token, or alpha = 0
    given = {"x": torch.zeros(4, 3, dtype=torch.long), "targets": torch.full((4, 3), 2), "ids": torch.arange(4)}
    assert torch.equal(hamming_noise(given, generator(), alpha=1.0, temperature=9.0)["targets"], given["targets"])
    assert torch.equal(hamming_noise(sequences(50), generator(), alpha=0.0)["targets"], sequences(50)["targets"])


def test_images_are_refused():
    with pytest.raises(UsageError, match="needs sequences"):
        hamming_noise(batch(), generator())
