import math

import torch

from lossbench.losses.distillation.distillation import distillation
from lossbench.losses.distillation.interpolated_information import _information, init_params, interpolated_information
from tests.losses.support import near, sample

WORDS = ("features", "logits", "targets", "teacher_logits", "teacher_features")


def drawn():
    made = init_params(num_features=4, generator=torch.Generator(), size=3)
    return {**{key: value.double() for key, value in made.items()}, "baseline": torch.randn(4).double()}


def test_limit():  # weight = 0 is distillation; a = 1 is InfoNCE: cross-entropy of the own teacher among all, and log B
    given, params = sample(*WORDS), drawn()
    own = interpolated_information(*given, params, weight=0.0, alpha=0.3, temperature=2.0)
    near(sum(own.values()), sum(distillation(*given[1:4], alpha=0.3, temperature=2.0).values()))
    own = interpolated_information(*given, params, interpolation=1.0)["information"]
    scores = (given[0] @ params["student_map"].T) @ (given[4] @ params["teacher_map"].T).T  # student, teacher
    near(own, torch.nn.functional.cross_entropy(scores, torch.arange(6), reduction="none") - math.log(6))


def slow(scores, baseline, a):
    """I_alpha of Poole et al. for each student j, with loops: x_1 ... x_K are the teachers, x_j that of student j."""
    values = []
    for j in range(len(scores)):
        joint = sum(math.exp(scores[i, j]) for i in range(len(scores))) / len(scores)
        others = [math.exp(scores[i, j]) for i in range(len(scores)) if i != j]
        mean, q = sum(others) / len(others), math.exp(baseline[j])
        first = math.log(math.exp(scores[j, j]) / (a * joint + (1 - a) * q))
        values.append(1 + first - sum(other / (a * mean + (1 - a) * q) for other in others) / len(others))
    return torch.tensor(values, dtype=torch.float64)


def test_oracle():
    given, params = sample(*WORDS), drawn()
    scores = (given[4] @ params["teacher_map"].T) @ (given[0] @ params["student_map"].T).T
    for a in (0.01, 0.5, 0.9):
        own = interpolated_information(*given, params, interpolation=a, weight=2.0)["information"]
        near(own, -2 * slow(scores, given[0] @ params["baseline"], a))


def test_known_information():
    """Gaussian pairs of correlation r have -log(1 - r^2) / 2. The critic that is best at a = 0 is 1 + log p(x|y) / p(x)
    with q = e: there the bound is tight. At a = 1 the same critic is still a bound, and at most log B."""
    r, B = 0.8, 2000
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(B, generator=generator, dtype=torch.float64)
    x = r * y + math.sqrt(1 - r * r) * torch.randn(B, generator=generator, dtype=torch.float64)
    ratio = -0.5 * math.log(1 - r * r) - (x[:, None] - r * y) ** 2 / (2 * (1 - r * r)) + x[:, None] ** 2 / 2
    truth = -0.5 * math.log(1 - r * r)
    ones = torch.ones(B, dtype=torch.float64)
    assert abs(_information(1 + ratio, ones, 1e-6).mean() - truth) < 0.05
    few = torch.stack([_information(1 + ratio[i : i + 4, i : i + 4], ones[:4], 1.0).mean() for i in range(0, B, 4)])
    assert few.mean() < truth - 0.05 and few.max() <= math.log(4)


def test_hand():  # scores log 3 on the diagonal, 0 beside it, q = 1, a = 1/2: m = 2, m' = 1: 1 + log(3 / 1.5) - 1 / 1
    scores = math.log(3) * torch.eye(2, dtype=torch.float64)
    near(_information(scores, torch.zeros(2).double(), 0.5), [1 + math.log(2) - 1.0] * 2)
