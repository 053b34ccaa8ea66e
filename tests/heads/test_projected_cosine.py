import torch
import torch.nn.functional as F
from torch.func import functional_call, stack_module_state, vmap

from lossbench.heads.projected_cosine import projected_cosine


def made(seed: int = 0, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    return projected_cosine(num_features=6, num_outputs=4, **{"hidden": 7, "size": 5, **options})


def test_equation():  # two hidden layers, batch statistics
    head, h = made(layers=2, temperature=0.25), torch.randn(9, 6)
    y = h / h.norm(dim=1, keepdim=True)
    for linear, norm in ((head.projector[0], head.projector[1]), (head.projector[3], head.projector[4])):
        a = y @ linear.weight.T
        standardised = (a - a.mean(0)) / (a.var(0, unbiased=False) + 1e-5).sqrt()
        y = F.gelu(standardised * norm.weight + norm.bias)
    y = y @ head.projector[6].weight.T
    assert all(name.endswith(".bias") <= (".1." in name or ".4." in name) for name, _ in head.named_parameters())
    cosines = F.cosine_similarity(y.unsqueeze(1), head.classifier.weight.unsqueeze(0), dim=-1)
    torch.testing.assert_close(head(h), cosines / 0.25, rtol=1e-4, atol=1e-5)


def test_limit():  # without hidden layers: the cosine softmax (NormFace) of a linear map; its size does not matter
    head, h = made(layers=0), torch.randn(9, 6)
    weight = head.projector[0].weight
    expected = F.normalize(h @ weight.T) @ F.normalize(head.classifier.weight).T / 0.1
    torch.testing.assert_close(head(h), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(head(9 * h), expected, rtol=1e-4, atol=1e-5)


def test_any_leading_axes():
    head, h = made().eval(), torch.randn(3, 2, 6)
    torch.testing.assert_close(head(h)[1, 0], head(h[1, :1])[0])


def test_stacked():
    heads, h = [made(seed).eval() for seed in range(3)], torch.randn(3, 5, 6)
    stacked = vmap(lambda p, b, x: functional_call(heads[0], (p, b), (x,)))(*stack_module_state(heads), h)
    torch.testing.assert_close(stacked, torch.stack([head(x) for head, x in zip(heads, h, strict=True)]))
