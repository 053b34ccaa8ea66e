import itertools
import math

import torch

from lossbench.losses.preference.dpa_logic import dpa_logic
from lossbench.losses.preference.dpo import dpo
from tests.losses.support import extreme, near, sample, stacked

WORDS = (
    "chosen_logps",
    "rejected_logps",
    "ref_chosen_logps",
    "ref_rejected_logps",
    "chosen_lengths",
    "rejected_lengths",
)
ROWS = ("both", "chosen", "rejected", "neither")
COLUMNS = [column for n in range(1, 5) for column in itertools.combinations(ROWS, n)]


def test_limit():  # p / q relative to the reference is dpo, of completions of one token; without it, of log pi alone
    *values, lengths, _ = sample(*WORDS)
    ones, rows = torch.ones_like(lengths), {"positive": ("both", "chosen"), "negative": ("both", "rejected")}
    near(dpa_logic(*values, ones, ones, **rows, beta=0.3, reference=True), dpo(*values, beta=0.3))
    near(dpa_logic(*values, lengths, lengths, **rows), dpo(*[v / lengths for v in values[:2]], ones, ones, beta=1.0))


def test_oracle():  # the four products and their sums, pair by pair, for all 225 losses
    values = sample(*WORDS)
    for positive, negative in itertools.product(COLUMNS, COLUMNS):
        found = dpa_logic(*values, positive=positive, negative=negative, beta=0.7)
        for i, (w, v, _, _, n, m) in enumerate(zip(*[t.tolist() for t in values], strict=True)):
            p, q = math.exp(w / n), math.exp(v / m)
            weights = {"both": p * q, "chosen": p * (1 - q), "rejected": (1 - p) * q, "neither": (1 - p) * (1 - q)}
            rho = sum(weights[row] for row in positive) / sum(weights[row] for row in negative)
            near(found[i], math.log(1 + rho**-0.7), 1e-8)


def test_closed_forms():  # of the published losses
    chosen, rejected, *_, n, m = values = sample(*WORDS)
    p, q = (chosen / n).exp(), (rejected / m).exp()
    for positive, negative, rho in (
        (("both", "chosen"), ("rejected",), p / ((1 - p) * q)),  # cCPO
        (("chosen",), ("rejected",), p / (1 - p) * (1 - q) / q),  # the odds ratio of ORPO
        (("both", "chosen"), ("rejected", "neither"), p / (1 - p)),  # cross-entropy: -log p
        (("chosen", "neither"), ("both", "rejected"), (1 - q) / q),  # unlikelihood: -log(1 - q)
    ):
        near(dpa_logic(*values, positive=positive, negative=negative), (1 + 1 / rho).log(), 1e-8)
    near(dpa_logic(*values, positive=("both", "chosen"), negative=("rejected", "neither")), -p.log(), 1e-8)


def test_order():  # a row more in the positive column never costs, in the negative one never helps
    values = sample(*WORDS)
    losses = {
        pair: dpa_logic(*values, positive=pair[0], negative=pair[1]) for pair in itertools.product(COLUMNS, COLUMNS)
    }
    for positive, negative in losses:
        for more in (c for c in COLUMNS if set(c) > set(positive)):
            assert (losses[more, negative] <= losses[positive, negative] + 1e-12).all()
        for more in (c for c in COLUMNS if set(c) > set(negative)):
            assert (losses[positive, more] >= losses[positive, negative] - 1e-12).all()


def test_hand():  # p = 1/2 by two tokens, q = 1/4: rho = 1/2 / (1/2 1/4) = 4: log(5/4)
    given = [2 * math.log(1 / 2), math.log(1 / 4), 0.0, 0.0, 2.0, 1.0]
    near(dpa_logic(*[torch.tensor([v], dtype=torch.float64) for v in given]), math.log(5 / 4))


def test_extreme():
    far, ones = torch.tensor([-6e4, -1e-6, 0.0]), torch.ones(3)
    for positive, negative in ((("both", "chosen"), ("rejected",)), (("chosen",), ("rejected",)), (("both",), ROWS)):
        extreme(dpa_logic, far, far.flip(0), far, far, ones, ones, positive=positive, negative=negative)


def test_stacked():
    stacked(dpa_logic, beta=[0.1, 0.5, 1.0])
