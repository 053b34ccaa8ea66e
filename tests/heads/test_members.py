import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, stack_module_state, vmap

from lossbench.heads.members import members


def made(seed: int = 0, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    return members(num_features=6, num_outputs=4, **options)


def test_linear():  # each member is a layer of its own, on the same features
    head, features = made(num_members=3), torch.randn(2, 5, 6)
    outputs = head(features)
    assert outputs.shape == (2, 5, 3, 4)
    for m in range(3):
        torch.testing.assert_close(outputs[..., m, :], F.linear(features, head.weight[m], head.bias[m]))


def test_cosine():
    head, features = made(num_members=2, kind="cosine", scale=7.0), torch.randn(5, 6)
    outputs = head(features)
    assert outputs.shape == (5, 2, 4)
    for m in range(2):
        expected = [7 * F.cosine_similarity(features, w, dim=-1) for w in head.weight[m]]
        torch.testing.assert_close(outputs[:, m], torch.stack(expected, -1))


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_members_differ(kind):
    weight = made(kind=kind).weight
    assert len({tuple(w.flatten().tolist()) for w in weight}) == 3


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_stacked(kind):
    heads, features = [made(seed, kind=kind) for seed in range(3)], torch.randn(3, 5, 6)
    stacked = vmap(lambda p, b, x: functional_call(heads[0], (p, b), (x,)))(*stack_module_state(heads), features)
    torch.testing.assert_close(stacked, torch.stack([head(x) for head, x in zip(heads, features, strict=True)]))
