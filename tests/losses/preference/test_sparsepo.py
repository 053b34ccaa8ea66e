import math

import pytest
import torch

from lossbench.losses.preference.sparsepo import init_params, sparsepo
from lossbench.losses.preference.tdpo import tdpo
from tests.losses.preference.test_tdpo import SIDES, dpo_of, given
from tests.losses.support import near, sample, stacked


def with_features(weight, bias):
    values = given()
    values |= {f"ref_{s}_features": sample(f"ref_{s}_features")[0] for s in SIDES}
    params = {"weight": torch.tensor(weight, dtype=torch.float64), "bias": torch.tensor(bias, dtype=torch.float64)}
    return values | {"params": params}


def test_limit():  # masks of 1 are tdpo's first form, none on the KL is dpo, masks of 0 say nothing
    none = [[0.0] * 4] * 2
    ones = with_features(none, [1.0, 1.0])
    near(sparsepo(**ones, beta=0.3), tdpo(**given(), form=1, beta=0.3))
    near(sparsepo(**with_features(none, [1.0, -1.0]), masks="independent", beta=0.3), dpo_of(given(), 0.3))
    near(sparsepo(**with_features(none, [-1.0, -1.0]), beta=0.3), math.log(2))


@pytest.mark.parametrize("masks", ["common", "independent"])
def test_oracle(masks):  # token by token
    values = with_features([[0.5, -1.0, 0.3, 0.8], [-0.4, 0.2, 0.9, -0.7]], [0.2, -0.1])
    found = sparsepo(**values, masks=masks, beta=0.3, l1_reward=0.01, l1_kl=0.02)
    zeros = 0
    for i in range(len(found)):
        u = d = size = 0.0
        for side, sign in (("chosen", 1), ("rejected", -1)):
            for t in range(values[f"{side}_mask"].shape[1]):
                if not values[f"{side}_mask"][i, t]:
                    continue
                f = values[f"ref_{side}_features"][i, t].tolist()
                weight, bias = values["params"]["weight"].tolist(), values["params"]["bias"].tolist()
                own = [max(0.0, sum(a * b for a, b in zip(w, f, strict=True)) + c)
                       for w, c in zip(weight, bias, strict=True)]  # fmt: skip
                m_u, m_d = own[0], own[0 if masks == "common" else 1]
                zeros += m_u == 0
                p, q = (torch.softmax(values[f"{r}{side}_logits"][i, t], 0).tolist() for r in ("ref_", ""))
                u += sign * m_u * (values[f"{side}_token_logps"][i, t] - values[f"ref_{side}_token_logps"][i, t]).item()
                d -= sign * m_d * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
                size += 0.01 * m_u + 0.02 * m_d
        near(found[i], math.log(1 + math.exp(-0.3 * (u - d))) + size)
    assert zeros > 5  # the masks are sparse


def test_hand():  # one token, feature 2, v = 1, c = -1: mask 1; log-ratios 1 and 0, pi = ref: log(1 + e^-1)
    half = torch.zeros(1, 1, 2, dtype=torch.float64)
    no, yes = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool)
    two = torch.full((1, 1, 1), 2.0, dtype=torch.float64)
    params = {"weight": torch.ones(2, 1, dtype=torch.float64), "bias": -torch.ones(2, dtype=torch.float64)}
    found = sparsepo(half, half, half, half, no, no, no - 1, no, two, two, yes, yes, params, beta=1.0, l1_kl=0.5)
    near(found, math.log(1 + math.exp(-1)) + 0.5 * 2)


def test_initial_masks():
    made = init_params(num_features=16, generator=torch.Generator().manual_seed(0))
    assert made["weight"].shape == (2, 16) and made["bias"].shape == (2,)
    assert made["weight"].abs().max() <= 0.25 and made["weight"].std().item() == pytest.approx(0.25 / 3**0.5, rel=0.3)


def test_stacked():
    drawn = [init_params(num_features=4, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    params = [{name: value.double() for name, value in own.items()} for own in drawn]
    given_params = {"params": params}
    stacked(sparsepo, given_params, beta=[0.01, 0.1, 1.0], l1_reward=[0.0, 0.1, 1.0], l1_kl=[0.0, 0.1, 1.0])
