import math

import torch

from lossbench.regularizers.head_entropy import head_entropy, init_params
from tests.losses.support import near, sample


def thresholds(seed=0):
    return {"threshold": torch.rand(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)}


def test_limit():  # no weight, or nothing further off than the tolerance
    entropies, mask = sample("head_entropies", "mask", tokens=True)
    near(head_entropy(entropies, mask, thresholds(), weight=0.0), torch.zeros(6))
    near(head_entropy(entropies, mask, thresholds(), tolerance=10.0), torch.zeros(6))


def test_oracle():  # algorithm 1, loop by loop
    entropies, mask = sample("head_entropies", "mask", tokens=True)
    mask[:, 0] = True
    params, largest, free = thresholds(), math.log(7), 0
    found = head_entropy(entropies, mask, params, weight=0.3, tolerance=0.2)
    for i in range(6):
        total = 0.0
        for layer in range(3):
            of_layer = 0.0
            for head in range(4):
                mean = entropies[i, mask[i], layer, head].mean().item()
                deviation = mean - params["threshold"][layer, head].item() * largest
                of_layer += deviation**2 if abs(deviation) > 0.2 * largest else 0.0
                free += abs(deviation) <= 0.2 * largest
            total += of_layer / 4
        near(found[i], 0.3 * total / 3)
    assert 0 < free < 72


def test_hand():  # T = 4, equal attention, theta = 1/2: a deviation of log(4) / 2 in every head
    entropies = torch.full((1, 4, 2, 3), math.log(4), dtype=torch.float64)
    everywhere = torch.ones(1, 4, dtype=torch.bool)
    params = {name: value.double() for name, value in init_params(depth=2, heads=3).items()}
    near(head_entropy(entropies, everywhere, params, weight=1.0), [(math.log(4) / 2) ** 2])


def test_gradient():  # thresholds come nearer to the entropies that are too far off, and to those alone
    entropies = torch.zeros(1, 4, 1, 2, dtype=torch.float64)
    entropies[..., 1] = 0.5 * math.log(4)
    params = {"threshold": torch.full((1, 2), 0.5, dtype=torch.float64, requires_grad=True)}
    head_entropy(entropies, torch.ones(1, 4, dtype=torch.bool), params).sum().backward()
    assert params["threshold"].grad[0, 0] > 0 and params["threshold"].grad[0, 1] == 0
