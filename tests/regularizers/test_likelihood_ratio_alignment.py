import torch

from lossbench.regularizers.likelihood_ratio_alignment import init_params, likelihood_ratio_alignment
from tests.losses.support import near, sample, stacked

WORDS = ("unlabeled_thresholds", "shifted_thresholds")


def test_limit():
    u, v = sample(*WORDS)
    near(likelihood_ratio_alignment(u, v, {"scale": torch.tensor(0.7)}, weight=0.0), 0.0)
    near(likelihood_ratio_alignment(u, v, {"scale": torch.tensor(0.0)}), 0.0)
    assert init_params()["scale"] == 1


def test_oracle():  # over all inputs of a discrete distribution: weight (E1[(scale h - r)^2] - E1[r^2])
    draw = torch.Generator().manual_seed(0)
    source, target = (torch.rand(7, generator=draw, dtype=torch.float64) for _ in range(2))
    source, target = source / source.sum(), target / target.sum()
    ratio, h = target / source, torch.randn(7, generator=draw, dtype=torch.float64)
    for scale in (-0.5, 1.0, 2.0):
        params = {"scale": torch.tensor(scale, dtype=torch.float64)}
        on_source = likelihood_ratio_alignment(h, torch.zeros(7).double(), params, weight=0.3)
        on_target = likelihood_ratio_alignment(torch.zeros(7).double(), h, params, weight=0.3)
        actual = (source * on_source).sum() + (target * on_target).sum()
        expected = 0.3 * ((source * (scale * h - ratio).square()).sum() - (source * ratio.square()).sum())
        near(actual, expected)


def test_best_scale():  # E2[h] / E1[h^2], where the gradient of the mean is 0
    u, v = sample(*WORDS)
    params = {"scale": (v.mean() / u.square().mean()).requires_grad_()}
    (slope,) = torch.autograd.grad(likelihood_ratio_alignment(u, v, params).mean(), params["scale"])
    near(slope, 0.0)
    near(likelihood_ratio_alignment(u, v, params).mean().detach(), -0.1 * v.mean() ** 2 / u.square().mean())


def test_hand():  # weight 1/2, scale 3: (9 * 4 - 6 * 5) / 2
    params = {"scale": torch.tensor(3.0)}
    near(likelihood_ratio_alignment(torch.tensor([2.0]), torch.tensor([5.0]), params, weight=0.5), [3.0])


def test_stacked():
    scales = [{"scale": torch.tensor(value, dtype=torch.float64)} for value in (0.5, 1.0, -2.0)]
    stacked(likelihood_ratio_alignment, {"params": scales}, weight=[0.0, 0.1, 2.0])
