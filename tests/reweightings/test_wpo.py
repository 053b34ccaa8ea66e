import math

import torch

from lossbench.reweightings.wpo import wpo
from tests.losses.support import near, sample

WORDS = (
    "chosen_token_logps",
    "rejected_token_logps",
    "chosen_logits",
    "rejected_logits",
    "chosen_mask",
    "rejected_mask",
)


def drawn(seed=0):
    """A batch whose log-probabilities are those of its logits."""
    *_, chosen, rejected, chosen_mask, rejected_mask = sample(*WORDS, seed=seed)
    tokens = torch.randint(5, chosen.shape[:2], generator=torch.Generator().manual_seed(seed))
    logps = [logits.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1) for logits in (chosen, rejected)]
    return *logps, chosen, rejected, chosen_mask, rejected_mask


def test_limit():  # a uniform policy: all pairs weigh 1, or C^-2 without alignment
    logps, zeros = torch.full((6, 7), -math.log(5), dtype=torch.float64), torch.zeros(6, 7, 5).double()
    masks = drawn()[4:]
    near(wpo(logps, logps, zeros, zeros, *masks), 1.0)
    near(wpo(logps, logps, zeros, zeros, *masks, alignment="greedy"), 1.0)
    near(wpo(logps, logps, zeros, zeros, *masks, alignment="none"), 1 / 25)


def test_oracle():  # the formula with probabilities, token by token
    for seed in range(3):
        batch = drawn(seed)
        for alignment in ("sampled", "greedy", "none"):
            found = wpo(*batch, alignment=alignment)
            for i in range(6):
                weight = 1.0
                for side in range(2):
                    logps, logits, mask = batch[side][i], batch[2 + side][i], batch[4 + side][i]
                    total = 0.0
                    for t in [t for t in range(7) if mask[t]]:
                        p = logits[t].softmax(0)
                        by = {"sampled": (p * p).sum(), "greedy": p.max(), "none": torch.ones(())}[alignment]
                        total += (logps[t].exp() / by).log().item()
                    weight *= math.exp(total / max(int(mask.sum()), 1))
                near(found[i], weight)


def test_maximum():
    batch = drawn()
    plain, least = wpo(*batch), 0.5
    assert (plain > least).any() and (plain < least).any()
    near(wpo(*batch, maximum=least), plain.clamp(max=least))


def test_padding_does_not_count():
    batch = [t.clone() for t in drawn()]
    expected = wpo(*batch)
    for side in range(2):
        batch[side][~batch[4 + side]] = math.nan
        batch[2 + side][~batch[4 + side]] = 1e4
    near(wpo(*batch), expected)


def test_hand():  # one token of p = 3/4 of two: 9/16 + 1/16 = 5/8, so 6/5; the other side p = 1/4: 2/5; 12/25
    logits = torch.tensor([[[math.log(3), 0.0]]], dtype=torch.float64)
    high, low = logits.log_softmax(-1)[..., 0], logits.log_softmax(-1)[..., 1]
    mask = torch.ones(1, 1, dtype=torch.bool)
    near(wpo(high, low, logits, logits, mask, mask), 12 / 25)
    near(wpo(high, low, logits, logits, mask, mask, alignment="greedy"), 1 / 3)
