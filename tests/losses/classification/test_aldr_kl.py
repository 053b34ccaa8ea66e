import math

import torch

from lossbench.losses.classification.aldr_kl import aldr_kl, init_state
from lossbench.losses.classification.cross_entropy import cross_entropy
from tests.losses.support import extreme, near, sample, stacked

FIXED = {"alpha": 1e9}  # lambda stays lambda_0: LDR-KL


def memory(seed=0):  # a state as it may be in the middle of a run, for alpha = 2
    return {"ratio": 0.5 + 0.5 * torch.rand(11, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)}


def test_limit():  # LDR-KL at temperature 1 without margin and normalisation is cross-entropy minus log C
    logits, targets, ids = sample("logits", "targets", "ids")
    values, _ = aldr_kl(logits, targets, ids, init_state(num_examples=11), margin=0.0, normalize=False, **FIXED)
    near(values, cross_entropy(logits, targets) - math.log(5), 1e-6)


def test_hinge():  # LDR-KL as the temperature goes to 0 is the largest margin (Crammer and Singer)
    logits, targets, ids = sample("logits", "targets", "ids")
    state = init_state(num_examples=11)
    values, _ = aldr_kl(logits, targets, ids, state, temperature=1e-4, margin=0.3, normalize=False, **FIXED)
    margins = [[row[c] - row[y] + 0.3 * (c != y) for c in range(5)] for row, y in zip(logits, targets, strict=True)]
    near(values, [max(row) for row in margins], 1e-3)


def test_oracle():  # the formula, written out over examples and classes, for three steps on the same memory
    state, expected = memory(), memory()["ratio"].tolist()
    for seed in range(3):
        logits, targets, ids = sample("logits", "targets", "ids", seed=seed)
        values, state = aldr_kl(logits, targets, ids, state, temperature=0.7, alpha=3.0, margin=0.2)
        for i, address in enumerate(ids.tolist()):
            size = sum(abs(score) for score in logits[i].tolist()) / 5
            f, y = [score / size for score in logits[i].tolist()], int(targets[i])
            weights = [math.exp(score / (0.7 * expected[address])) for score in f]
            p = [weight / sum(weights) for weight in weights]
            kl = sum(p_c * math.log(5 * p_c) for p_c in p)
            own = 0.7 - 0.7 * kl / (3 * math.log(5))
            d = [f[c] - f[y] + 0.2 * (c != y) for c in range(5)]
            soft = own * math.log(sum(math.exp(d_c / own) for d_c in d) / 5)
            near(values[i], soft - 3 * math.log(5) / (2 * 0.7) * (own - 0.7) ** 2)
            expected[address] = own / 0.7
        near(state["ratio"], expected)


def test_hand():  # f = (-1, 1), y = 0, LDR-KL at temperature 1, margin 0: log((1 + e^2) / 2)
    logits = torch.tensor([[-3.0, 3.0]], dtype=torch.float64)
    values, _ = aldr_kl(logits, torch.tensor([0]), torch.tensor([2]), init_state(num_examples=3), margin=0.0, **FIXED)
    near(values, [math.log((1 + math.e**2) / 2)], 1e-6)


def test_own_temperature():  # an even prediction keeps lambda_0, a certain one gets (1 - 1 / alpha) lambda_0
    logits = torch.tensor([[1.0, 1.0], [-2e4, 2e4]], dtype=torch.float64)
    state = init_state(num_examples=4)
    _, new = aldr_kl(logits, torch.tensor([0, 0]), torch.tensor([3, 1]), state, alpha=4.0, normalize=False)
    near(new["ratio"], [1, 0.75, 1, 1], 1e-6)
    near(state["ratio"], [1, 1, 1, 1])


def test_scale():  # normalised logits: their scale changes nothing; all 0 is finite
    logits, targets, ids = sample("logits", "targets", "ids")
    near(aldr_kl(7 * logits, targets, ids, memory())[0], aldr_kl(logits, targets, ids, memory())[0])
    values, _ = extreme(aldr_kl, torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0]), {"ratio": torch.ones(1)})
    near(values[0], [math.log((1 + math.exp(0.1)) / 2)], 1e-6)


def test_stacked():
    state = [memory(0), memory(1), memory(2)]
    stacked(aldr_kl, {"state": state}, temperature=[0.1, 1.0, 10.0], alpha=[1.5, 2.0, 4.0], margin=[0.0, 0.1, 1.0])
