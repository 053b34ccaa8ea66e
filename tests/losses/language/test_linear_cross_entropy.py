import math

import pytest
import torch
from torch.nn import functional as F

from lossbench import ops
from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.linear_cross_entropy import linear_cross_entropy
from tests.losses.support import near, sample, stacked


def gradients(loss, *tensors):
    leaves = [t.clone().requires_grad_() for t in tensors]
    return torch.autograd.grad(loss(*leaves), leaves)


def test_limit():  # without softcap and z-loss: cross_entropy of the logits
    features, weight, targets = sample("features", "head_weight", "targets", tokens=True)
    near(linear_cross_entropy(features, weight, targets, None), cross_entropy(features @ weight.T, targets))


@pytest.mark.parametrize("tokens_at_once", [1, 4, 7, 1000])  # 42 tokens: slices that fit, and a shorter last one
def test_oracle(
    tokens_at_once,
):  # torch's cross-entropy on all logits, with other weights of the tokens in the gradient
    features, weight, targets, softcap = sample("features", "head_weight", "targets", "softcap", tokens=True)
    softcap, upstream = softcap / 10, torch.linspace(-1, 2, targets.numel(), dtype=torch.float64).view(targets.shape)

    def plain(h, w):
        logits = softcap * torch.tanh(torch.einsum("btd,cd->btc", h, w) / softcap)
        values = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return values.view(targets.shape) + 0.3 * torch.logsumexp(logits, -1) ** 2

    def ours(h, w):
        terms = linear_cross_entropy(h, w, targets, softcap, z_weight=0.3, tokens_at_once=tokens_at_once)
        return terms["cross_entropy"] + terms["z"]

    near(ours(features, weight), plain(features, weight), 1e-12)
    pairs = [gradients(lambda h, w, f=f: (upstream * f(h, w)).sum(), features, weight) for f in (ours, plain)]
    for own, expected in zip(*pairs, strict=True):
        near(own, expected, 1e-12)


def test_hand():  # logits (log 3, 0): p = 3/4, the sum of exponentials is 4. Capped at log 3: log 3 tanh(1) for log 3
    features, weight, first = torch.tensor([[math.log(3)]]), torch.tensor([[1.0], [0.0]]), torch.tensor([0])
    terms = linear_cross_entropy(features, weight, first, None, z_weight=2.0)
    near(terms["cross_entropy"], [math.log(4 / 3)], 1e-6)
    near(terms["z"], [2 * math.log(4) ** 2], 1e-6)
    capped = math.log(3) * math.tanh(1)
    value = linear_cross_entropy(features, weight, first, torch.tensor(math.log(3)))
    near(value, [math.log(math.exp(capped) + 1) - capped], 1e-6)


def test_stacked():
    stacked(linear_cross_entropy, {"softcap": list(torch.tensor([2.0, 3.0, 5.0]).double())}, z_weight=[0.1, 0.2, 0.3])


def test_the_logits_are_never_whole(monkeypatch):  # in neither direction is a product larger than a slice's
    features, weight, targets = sample("features", "head_weight", "targets", tokens=True)
    largest = []
    product = ops._product

    def watched(a, b, half):
        made = product(a, b, half)
        largest.append(made.numel())
        return made

    monkeypatch.setattr(ops, "_product", watched)
    linear_cross_entropy(features.requires_grad_(), weight, targets, None, tokens_at_once=4).sum().backward()
    assert max(largest) <= max(4 * len(weight), weight.numel()) < targets.numel() * len(weight)


def test_half_precision():  # as a head under autocast
    torch.manual_seed(0)
    features, weight = torch.randn(40, 64).bfloat16().float(), torch.randn(30, 64) / 8
    targets = torch.randint(30, (40,))

    def autocast(h, w):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = F.linear(h, w)
        return F.cross_entropy(logits.float(), targets, reduction="sum")

    def ours(h, w):
        return linear_cross_entropy(h, w, targets, None, matmul_bits=16).sum()

    exact = gradients(lambda h, w: linear_cross_entropy(h, w, targets, None).sum(), features, weight)
    assert ours(features, weight).item() == pytest.approx(autocast(features, weight).item(), rel=1e-5)
    for own, theirs, reference in zip(
        gradients(ours, features, weight), gradients(autocast, features, weight), exact, strict=True
    ):
        rounding = (theirs - reference).abs().max()
        assert 0 < (own - reference).abs().max() < 2 * rounding


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bfloat16_on_cuda():
    torch.manual_seed(0)
    features = torch.randn(4096, 256, device="cuda").bfloat16().float().requires_grad_()
    weight = (torch.randn(50257, 256, device="cuda") / 16).requires_grad_()
    targets = torch.randint(50257, (4096,), device="cuda")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        logits = F.linear(features, weight)
    expected = F.cross_entropy(logits.float(), targets)
    wanted = torch.autograd.grad(expected, [features, weight])
    del logits
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    value = linear_cross_entropy(features, weight, targets, None, matmul_bits=16).mean()
    found = torch.autograd.grad(value, [features, weight])
    peak = torch.cuda.max_memory_allocated() - before
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)
    for own, theirs in zip(found, wanted, strict=True):
        assert (own - theirs).norm() < 0.02 * theirs.norm()
    assert peak < 4096 * 50257 * 4  # the logits alone, in float32
