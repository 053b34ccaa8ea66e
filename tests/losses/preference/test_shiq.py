import itertools
import math
from functools import partial

import pytest
import torch
from torch import stack, tensor

from lossbench.losses.preference.shiq import shiq
from tests.losses.support import near, sample

WORDS = ("ranking_token_logps", "ref_ranking_token_logps", "ranking_values", "ref_ranking_values", "ranking_mask")
BETA = 0.4


class Tree:
    """All sequences of ``depth`` of three symbols, with random rewards and a table of logits for every prefix."""

    def __init__(self, depth=3):
        generator = torch.Generator().manual_seed(0)
        self.depth = depth
        self.prefixes = [p for n in range(depth) for p in itertools.product(range(3), repeat=n)]
        self.ends = [*itertools.product(range(3), repeat=depth)]
        draw = partial(torch.randn, generator=generator, dtype=torch.float64)
        self.rewards = dict(zip(self.ends, draw(len(self.ends)).tolist(), strict=True))
        self.ref = 2 * draw(len(self.prefixes), 3) + 1  # logits that are not normalised

    def table(self, logits, y):
        """(log-probability of each symbol, log-sum-exp of the logits) along a completion"""
        rows = [logits[self.prefixes.index(y[:t])] for t in range(self.depth)]
        return stack([row[s] - row.logsumexp(0) for row, s in zip(rows, y, strict=True)]), stack(
            [row.logsumexp(0) for row in rows]
        )

    def optimum(self):
        """Logits Q / beta + log ref + log-sum-exp of ref's logits, with Q by dynamic programming from the leaves."""
        logits, value = torch.empty_like(self.ref), dict(self.rewards)
        for prefix in reversed(self.prefixes):
            own = self.ref[self.prefixes.index(prefix)]
            q = torch.tensor([value[(*prefix, s)] for s in range(3)], dtype=torch.float64)
            value[prefix] = (BETA * (own.log_softmax(0) + q / BETA).logsumexp(0)).item()
            logits[self.prefixes.index(prefix)] = q / BETA + own.log_softmax(0) + own.logsumexp(0)
        return logits

    def loss(self, logits, completions, **chosen):
        own, theirs = ([self.table(table, y) for y in completions] for table in (logits, self.ref))
        parts = [stack([pair[i] for pair in found]).unsqueeze(0) for i in (0, 1) for found in (own, theirs)]
        mask = torch.ones_like(parts[0], dtype=torch.bool)
        rewards = tensor([[self.rewards[y] for y in completions]], dtype=torch.float64)
        return shiq(*parts, mask, rewards, beta=BETA, **chosen)


def test_limit():  # the reference: its residual is the reward at every token, or at the last one
    logps, _, values, _, mask = sample(*WORDS)
    rewards = sample("ranking_logps")[0]
    same = (logps, logps, values, values, mask, rewards)
    near(shiq(*same, beta=0.3), (rewards.square() * mask.sum(-1)).mean(-1))
    near(shiq(*same, beta=0.3, multi_step=False), rewards.square().mean(-1))


def test_oracle():  # by loops
    logps, ref, values, ref_values, mask = sample(*WORDS)
    rewards = sample("ranking_logps")[0]
    for multi in (True, False):
        expected = torch.zeros(len(mask), dtype=torch.float64)
        for i, k in itertools.product(range(len(mask)), range(mask.shape[1])):
            places = [t for t in range(mask.shape[2]) if mask[i, k, t]]
            for t in places:
                shift = 0.7 * (values - ref_values)[i, k, t]
                if multi:
                    residual = rewards[i, k] - sum(0.7 * (logps - ref)[i, k, s] for s in places if s >= t) - shift
                else:
                    end = t == places[-1]
                    ahead = rewards[i, k] if end else 0.7 * (values - ref_values)[i, k, t + 1]
                    residual = ahead - 0.7 * (logps - ref)[i, k, t] - shift
                expected[i] += residual**2 / mask.shape[1]
        near(shiq(logps, ref, values, ref_values, mask, rewards, beta=0.7, multi_step=multi), expected)


def test_hand():
    """Two tokens, beta 1/2, reward 3. Delta is (1, 2), dv is (2, -2): residuals 3 - 1.5 - 1 and 3 - 1 + 1; with one
    step ahead -1 - 0.5 - 1 and 3 - 1 + 1."""
    ones = torch.zeros(1, 1, 2)
    given = (tensor([[[-1.0, -1.0]]]), tensor([[[-2.0, -3.0]]]), tensor([[[2.0, -2.0]]]), ones, ones == 0)
    near(shiq(*given, tensor([[3.0]]), beta=0.5), [0.25 + 9])
    near(shiq(*given, tensor([[3.0]]), beta=0.5, multi_step=False), [6.25 + 9])


@pytest.mark.parametrize("multi_step", [True, False])
def test_the_soft_optimal_policy_has_no_loss(multi_step):
    tree = Tree()
    near(tree.loss(tree.optimum(), tree.ends, multi_step=multi_step), [0.0])
    assert tree.loss(tree.ref, tree.ends, multi_step=multi_step).item() > 0.1
    p = [math.exp(tree.table(tree.optimum(), y)[0].sum()) for y in tree.ends]
    target = [math.exp(tree.table(tree.ref, y)[0].sum() + tree.rewards[y] / BETA) for y in tree.ends]
    assert p == pytest.approx([t / sum(target) for t in target])


def test_minimising_it_on_any_completions_finds_the_optimum():  # every one once, as no policy would write them
    tree = Tree(depth=2)
    logits = tree.ref.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12, tolerance_change=0)

    def closure():
        optimizer.zero_grad()
        loss = tree.loss(logits, tree.ends).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    near(logits.detach(), tree.optimum(), 1e-4)
