import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, stack_module_state, vmap

from lossbench.heads.cosine_classifier import cosine_classifier


def made(seed: int = 0, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    return cosine_classifier(num_features=6, num_outputs=4, **options)


@pytest.mark.parametrize("scale", [30.0, 0.5])
def test_equation(scale):  # by torch's own cosine, class by class, for features with any leading axes
    head, features = made(scale=scale), torch.randn(2, 3, 6)
    expected = torch.stack([scale * F.cosine_similarity(features, w, dim=-1) for w in head.weight], -1)
    torch.testing.assert_close(head(features), expected)


def test_lengths_do_not_count():
    head, features = made(), torch.randn(5, 6)
    logits = head(features)
    torch.testing.assert_close(head(1e4 * features), logits)
    with torch.no_grad():
        head.weight.mul_(torch.rand(4, 1) + 0.5)
    torch.testing.assert_close(head(features), logits)


def test_zero_features():  # dead units: no NaN, neither in value nor in gradient
    features = torch.zeros(2, 6, requires_grad=True)
    logits = made()(features)
    logits.sum().backward()
    assert torch.equal(logits, torch.zeros(2, 4)) and features.grad.isfinite().all()


def test_stacked():
    heads, features = [made(seed) for seed in range(3)], torch.randn(3, 5, 6)
    stacked = vmap(lambda p, b, x: functional_call(heads[0], (p, b), (x,)))(*stack_module_state(heads), features)
    torch.testing.assert_close(stacked, torch.stack([head(x) for head, x in zip(heads, features, strict=True)]))
