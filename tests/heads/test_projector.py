import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from lossbench.heads.projector import projector


def made(seed: int = 0, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    return projector(num_features=6, num_outputs=4, **options)


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({}, [(6, 6), (4, 6)]),
        ({"hidden": 9}, [(9, 6), (4, 9)]),
        ({"layers": 3, "hidden": 5, "size": 7}, [(5, 6), (5, 5), (7, 5)]),
        ({"layers": 1}, [(4, 6)]),
    ],
)
def test_layers(options, shapes):
    assert [tuple(p.shape) for p in made(**options).parameters() if p.ndim == 2] == shapes


def test_equation():  # W2 relu(W1 h + b1) + b2, for features with any leading axes
    head, features = made(), torch.randn(2, 3, 6)
    w1, b1, w2, b2 = head.parameters()
    torch.testing.assert_close(head(features), (features @ w1.T + b1).clamp(min=0) @ w2.T + b2)


def test_stacked():
    heads, features = [made(seed) for seed in range(3)], torch.randn(3, 5, 6)
    stacked = vmap(lambda p, b, x: functional_call(heads[0], (p, b), (x,)))(*stack_module_state(heads), features)
    torch.testing.assert_close(stacked, torch.stack([head(x) for head, x in zip(heads, features, strict=True)]))
