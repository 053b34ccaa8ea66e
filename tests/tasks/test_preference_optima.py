"""Full-batch training of a table that can hold every policy reaches the optima that are known in closed form.

The data are all ordered pairs (or rankings) of completions, each with its probability: the expectation of the loss.
"""

import itertools
import math
from functools import partial

import pytest
import torch
from scipy.optimize import brentq

from lossbench.cli import main
from lossbench.composing import overrides
from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.datasets.preferences import split_of
from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.f_dpo import f_dpo
from lossbench.losses.preference.h_dpo import h_dpo
from lossbench.losses.preference.mmpo import mmpo
from lossbench.losses.preference.plackett_luce import plackett_luce
from lossbench.losses.preference.ranking_pairs import ranking_pairs
from lossbench.models.ngram_table import ngram_table
from lossbench.objective import Network, Objective
from lossbench.results.collect import records
from lossbench.tasks.preference import Preference
from tests.datasets.support import generator

CPU = torch.device("cpu")
BETA = 0.7


def everything(dataset, width):
    """(batch, probability [n]) of all rankings of ``width`` different completions of every prompt, by Plackett-Luce
    from completions that are drawn independently."""
    truth, rows, weights, margins = dataset.truth, [], [], []
    for prompt, tokens in enumerate(truth.prompts):
        for chosen in itertools.permutations(range(len(truth.completions)), width):
            r = truth.rewards[prompt, list(chosen)]
            p = torch.stack([(r[k] - r[k:].logsumexp(0)).exp() for k in range(width)]).prod()
            weights.append(p * truth.log_p[prompt, list(chosen)].sum().exp())
            rows.append(torch.stack([torch.cat([tokens, truth.completions[y]]) for y in chosen]))
            margins.append(r[0] - r[-1])
    starts = torch.full((len(rows), width), truth.prompts.shape[1])
    split = split_of(torch.stack(rows), starts, starts + truth.completions.shape[1], {})
    known = {"reward_margins": torch.stack(margins), "ids": torch.arange(len(rows))}
    return {"x": split.inputs, **split.labels, **known}, torch.stack(weights)


def trained(loss, width=2):
    """([P, Y] log-probabilities after training, those of the reference, rewards)"""
    dataset = bradley_terry(generator=generator(3), num_symbols=3, completion_length=2, reward_scale=1.0)
    policy, reference = (ngram_table(input_shape=(2,), num_outputs=3).double() for _ in range(2))
    torch.nn.init.normal_(reference.body.table.weight, generator=generator(1))
    policy.load_state_dict(reference.state_dict())
    task = Preference(dataset, CPU, reference=reference)
    batch, weights = everything(dataset, width)

    def expectation(values, mask=None):
        return (values * weights).sum(), weights.sum()

    objective = Objective(loss, task, expectation, batch=tuple(batch))
    network = Network.of(policy)
    optimizer = torch.optim.LBFGS(
        policy.parameters(),
        max_iter=2000,
        max_eval=4000,
        tolerance_grad=1e-12,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
        history_size=50,
    )

    def closure():
        optimizer.zero_grad()
        value = objective(network, batch, {}, {}).loss
        value.backward()
        return value

    optimizer.step(closure)
    asked = torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        return task.policy_logps(policy, asked), task.policy_logps(reference, asked), dataset.truth.rewards


def distance(found, expected):
    """The largest total variation distance between the two policies over the prompts."""
    return ((found.exp() - expected.exp()).abs().sum(-1) / 2).max().item()


def tilted(ref, rewards, alpha=1.0):
    return (ref / alpha + rewards / (alpha * BETA)).log_softmax(-1)


def inverse(divergence, y, alpha):
    """u with f'(u) = y, where there is one."""
    if divergence == "forward_kl":
        return -1 / y
    if divergence == "jensen_shannon":
        return 1 / (2 * (-y).exp() - 1)
    return (1 - alpha * y) ** (-1 / alpha)


def optimum(divergence, ref, rewards, alpha):
    """ref u with beta f'(u) = r - m, where m makes the policy sum to 1: of E[r] - beta D_f(policy || reference)."""
    top = {"forward_kl": 0.0, "jensen_shannon": math.log(2), "alpha": 1 / alpha}[divergence]
    rows = []
    for log_q, r in zip(ref, rewards, strict=True):
        least = r.max().item() - BETA * top  # m must be above: f' stays below its bound

        def excess(m, log_q=log_q, r=r):
            return (log_q.exp() * inverse(divergence, (r - m) / BETA, alpha)).sum().item() - 1

        m = brentq(excess, least + 1e-9, least + 1e3, xtol=1e-13)
        rows.append((log_q.exp() * inverse(divergence, (r - m) / BETA, alpha)).log())
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("loss", "width"),
    [
        (partial(dpo, beta=BETA), 2),
        (partial(f_dpo, divergence="reverse_kl", beta=BETA), 2),
        (partial(mmpo, gamma=1.0, beta=BETA), 2),
        (partial(plackett_luce, beta=BETA), 3),
        (partial(ranking_pairs, beta=BETA), 3),
    ],
    ids=["dpo", "f_dpo", "mmpo", "plackett_luce", "ranking_pairs"],
)
def test_reverse_kl(loss, width):  # ref exp(r / beta) / Z
    found, ref, rewards = trained(loss, width)
    expected = tilted(ref, rewards)
    assert distance(ref, expected) > 0.1  # there is something to learn
    assert distance(found, expected) < 1e-5


@pytest.mark.parametrize(("divergence", "alpha"), [("forward_kl", 1.0), ("jensen_shannon", 1.0), ("alpha", 0.4)])
def test_other_divergences(divergence, alpha):
    found, ref, rewards = trained(partial(f_dpo, divergence=divergence, alpha=min(alpha, 0.9), beta=BETA))
    expected = optimum(divergence, ref, rewards, alpha)
    torch.testing.assert_close(expected.exp().sum(-1), torch.ones(3, dtype=torch.float64))
    assert distance(found, expected) < 1e-5
    assert distance(expected, tilted(ref, rewards)) > 0.01  # it is another policy than that of dpo


def test_the_optimum_is_one():  # of E[r] - beta D_f, among policies nearby
    _, ref, rewards = trained(partial(dpo, beta=BETA))
    draw = generator(5)
    generators = {
        "forward_kl": lambda u: -u.log(),
        "jensen_shannon": lambda u: u * u.log() - (1 + u) * ((1 + u) / 2).log(),
        "alpha": lambda u: (u**0.6 - 0.6 * u - 0.4) / (0.4 * -0.6),
    }
    for divergence, f in generators.items():

        def value(log_p, f=f):
            return (log_p.exp() * rewards - BETA * ref.exp() * f((log_p - ref).exp())).sum(-1)

        best = optimum(divergence, ref, rewards, 0.4)
        for _ in range(5):
            other = (best + 0.1 * torch.randn(best.shape, generator=draw, dtype=torch.float64)).log_softmax(-1)
            assert (value(other) < value(best)).all(), divergence


@pytest.mark.parametrize("alpha", [0.8, 1.3])
def test_h_dpo(alpha):  # ref^(1 / alpha) exp(r / (alpha beta)) / Z
    found, ref, rewards = trained(partial(h_dpo, alpha=alpha, beta=BETA))
    expected = tilted(ref, rewards, alpha)
    assert distance(found, expected) < 1e-5
    assert distance(expected, tilted(ref, rewards)) > 0.01


def test_from_the_command_line(tmp_path):  # with the trainer, its L-BFGS and true margins: on the frontier
    table = {"model": "ngram_table", "optimizer": "lbfgs", "optimizer.max_iter": 100, "schedule": "constant"}
    reference = ["task=language_modeling", "variant=[completions]", "model=ngram_table", "budget.epochs=2"]
    chosen = {
        "dataset": "bradley_terry",
        "dataset.num_symbols": 3,
        "dataset.completion_length": 2,
        "dataset.num_examples": 2000,
        "dataset.reward_scale": 1.0,
        "loss": "mmpo",
        "loss.beta": BETA,
        **table,
        "batch_size": 2000,
        "budget.epochs": 3,
        "evaluation.epochs": 3,
        "task.reference": {"train": reference},
        "outputs": str(tmp_path),
    }
    with pytest.raises(SystemExit) as ended:
        main(["train", *overrides(chosen)])
    assert not ended.value.code
    best = next(r for r in records(tmp_path) if r["choices"]["task"] == "preference")["best"]
    assert best["test/reward_agreement"] == pytest.approx(1, abs=1e-3)
    assert best["test/frontier_gap"] == pytest.approx(0, abs=2e-3)
    assert best["test/win_rate"] > 0.6 and best["test/kl"] > 0.3
