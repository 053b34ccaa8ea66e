import math

import torch

from lossbench.losses.preference.chosen_likelihood import chosen_likelihood
from lossbench.losses.preference.irpo import irpo
from tests.losses.support import near, sample, stacked


def test_limit():  # what irpo adds to dpo for completions of one token and a weight of 1
    names = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")
    chosen, *others = sample(*names)
    ones = torch.ones_like(chosen)
    with_it, without = (irpo(chosen, *others, ones, alpha=alpha) for alpha in (1.0, 0.0))
    near(sum(with_it.values()) - sum(without.values()), chosen_likelihood(chosen))


def test_oracle():  # torch's cross-entropy, summed over the tokens of a completion
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tokens = torch.tensor([[0, 1, 2, 3], [4, 4, 0, 1], [2, 0, 3, 3]])
    chosen = logits.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1).sum(-1)
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens, reduction="none").sum(-1)
    near(chosen_likelihood(chosen), expected)


def test_hand():  # two tokens of probability 1/2 and 1/4
    near(chosen_likelihood(torch.tensor([math.log(1 / 2) + math.log(1 / 4)], dtype=torch.float64)), [math.log(8)])


def test_stacked():
    stacked(chosen_likelihood)
