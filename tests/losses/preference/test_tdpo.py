import math

import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.tdpo import tdpo
from tests.losses.support import extreme, near, sample, stacked

SIDES = ("chosen", "rejected")
WORDS = (*(f"{s}_logits" for s in SIDES), *(f"ref_{s}_logits" for s in SIDES), *(f"{s}_token_logps" for s in SIDES),
         *(f"ref_{s}_token_logps" for s in SIDES), *(f"{s}_mask" for s in SIDES))  # fmt: skip


def given():
    """The log-probabilities of tokens are 0 where the mask is false, as the words say."""
    values = dict(zip(WORDS, sample(*WORDS), strict=True))
    for name in values:
        if name.endswith("token_logps"):
            values[name] = values[name] * values[f"{name.removeprefix('ref_').split('_')[0]}_mask"]
    return values


def dpo_of(values, beta):
    return dpo(*[values[f"{r}{s}_token_logps"].sum(-1) for r in ("", "ref_") for s in SIDES], beta=beta)


def divergences(values, side, risk=lambda p, ratios: sum(a * b for a, b in zip(p, ratios, strict=True))):
    """[B] sums over the tokens, in loops; ``risk`` of the reference's probabilities and log(ref / pi)."""
    found = []
    for ref, own, mask in zip(
        values[f"ref_{side}_logits"], values[f"{side}_logits"], values[f"{side}_mask"], strict=True
    ):
        total = 0.0
        for t in range(len(mask)):
            if mask[t]:
                p, q = (torch.softmax(v[t], 0).tolist() for v in (ref, own))
                total += risk(p, [math.log(a / b) for a, b in zip(p, q, strict=True)])
        found.append(total)
    return torch.tensor(found, dtype=torch.float64)


def margins(values):
    up, down = ((values[f"{s}_token_logps"] - values[f"ref_{s}_token_logps"]).sum(-1) for s in SIDES)
    return up - down


def test_limit():  # no correction, or a policy that is the reference everywhere but at the tokens themselves: dpo
    values = given()
    near(tdpo(**values, alpha=0.0, beta=0.3), dpo_of(values, 0.3))
    same = {**values, **{f"{s}_logits": values[f"ref_{s}_logits"] for s in SIDES}}
    for form in (1, 2):
        near(tdpo(**same, form=form, beta=0.3), dpo_of(values, 0.3))


def test_oracle():  # token by token
    values = given()
    k_w, k_l = divergences(values, "chosen"), divergences(values, "rejected")
    h = margins(values)
    near(tdpo(**values, form=1, beta=0.3), torch.log1p(torch.exp(-0.3 * (h - (k_l - k_w)))))
    near(tdpo(**values, form=2, alpha=0.7, beta=0.3), torch.log1p(torch.exp(-0.3 * (h - 0.7 * (k_l - k_w)))))


def test_gradients():  # of form 2 none goes through the chosen completion's KL; of form 1 one does
    values = given()
    leaves = [values[f"{side}_logits"].requires_grad_() for side in SIDES]
    first = torch.autograd.grad(tdpo(**values, form=1).sum(), leaves)
    assert all(gradient.abs().max() > 0 for gradient in first)
    chosen, rejected = torch.autograd.grad(tdpo(**values, form=2).sum(), leaves, allow_unused=True)
    assert rejected.abs().max() > 0 and (chosen is None or not chosen.any())


def test_hand():  # one token; ref (1/2, 1/2), pi (1/4, 3/4) after the rejected prompt: KL = 1/2 log 4/3
    half, other = torch.zeros(1, 1, 2, dtype=torch.float64), torch.tensor([[[1.0, 3.0]]], dtype=torch.float64).log()
    no, yes = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool)
    found = tdpo(half, other, half, half, no, no, no, no, yes, yes, form=1, beta=2.0)
    near(found, math.log(1 + math.exp(2 * 0.5 * math.log(4 / 3))))


def test_extreme():
    far = torch.tensor([[[2e4, -2e4]], [[-2e4, 2e4]]])
    logps, mask = torch.tensor([[-4e4], [0.0]]), torch.ones(2, 1, dtype=torch.bool)
    extreme(tdpo, far, far.flip(0), far.flip(0), far, logps, logps.flip(0), logps.flip(0), logps, mask, mask)


def test_stacked():
    stacked(tdpo, alpha=[0.0, 0.5, 2.0], beta=[0.01, 0.1, 1.0])
