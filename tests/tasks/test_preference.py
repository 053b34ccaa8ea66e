"""Log-probabilities and expectations by loops; that full-batch training reaches optima known in closed form."""

import itertools
import math

import pytest
import torch

from lossbench.cli import main
from lossbench.composing import overrides
from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.datasets.digits import digits
from lossbench.datasets.preferences import PreferenceDataset, split_of
from lossbench.errors import UsageError
from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.kto import kto
from lossbench.metrics.preference import gradient_metrics
from lossbench.models.gpt import gpt
from lossbench.models.ngram_table import ngram_table
from lossbench.objective import Network, Objective, adds_over_micro_batches
from lossbench.reductions.mean import mean
from lossbench.results.collect import records
from lossbench.tasks.preference import Preference, _mismatched
from tests.datasets.support import generator

CPU = torch.device("cpu")
SMALL = {"num_symbols": 3, "completion_length": 2}


def table(dataset, seed=0):
    """A policy of its own for every seed, float64."""
    length = dataset.input_shape[-1]
    model = ngram_table(input_shape=(length,), num_outputs=dataset.num_outputs, order=length).double()
    torch.nn.init.normal_(model.body.table.weight, generator=generator(seed))
    return model


def log_p(model, prompt, completion):
    """Log-probability of the completion by the chain rule, one token after the other."""
    total, read = 0.0, list(prompt)
    for symbol in completion:
        logits = model(torch.tensor([read]))[0, -1]
        total = total + logits[symbol] - logits.exp().sum().log()
        read.append(symbol)
    return total.item()


def ragged():
    """Two prompts of different lengths, with completions of different lengths; 9 pads."""
    rows = torch.tensor([[[0, 1, 2, 9, 9], [0, 2, 9, 9, 9]], [[3, 4, 5, 6, 9], [3, 4, 7, 8, 5]]])
    split = split_of(rows, torch.tensor([[1, 1], [2, 2]]), torch.tensor([[3, 2], [4, 5]]), {})
    return PreferenceDataset(split, split, split, num_outputs=10), split


def test_log_probabilities_of_completions():
    dataset, split = ragged()
    policy, reference = table(dataset, 1), table(dataset, 2)
    task, batch = Preference(dataset, CPU, reference=reference), {"x": split.inputs, **split.labels}
    body, head, _, _ = Network.of(policy)
    logits = task.ranking_logits(body, head, batch["x"])
    tokens = task.ranking_token_logps(logits, batch["targets"], batch["mask"])
    found = task.ranking_logps(tokens)
    ref_tokens = task.ref_ranking_token_logps(
        task.ref_ranking_logits(task.ref_ranking_features(batch["x"])), batch["targets"], batch["mask"]
    )
    whole = [((0,), (1, 2)), ((0,), (2,)), ((3, 4), (5, 6)), ((3, 4), (7, 8, 5))]
    for (i, j), (prompt, completion) in zip(itertools.product(range(2), range(2)), whole, strict=True):
        assert found[i, j].item() == pytest.approx(log_p(policy, prompt, completion))
        assert ref_tokens.sum(-1)[i, j].item() == pytest.approx(log_p(reference, prompt, completion))
    assert not ref_tokens.requires_grad and found.requires_grad
    assert torch.equal(task.chosen_logps(found), found[:, 0]) and torch.equal(task.rejected_logps(found), found[:, 1])
    assert task.chosen_lengths(task.chosen_mask(batch["mask"])).tolist() == [2.0, 2.0]
    assert task.rejected_lengths(task.rejected_mask(batch["mask"])).tolist() == [1.0, 3.0]
    assert torch.equal(task.completion_logps(found), found.flatten())
    assert task.desirable(batch["mask"]).tolist() == [True, False, True, False]


def test_mismatched():  # the prompt of each with the completion of the next, cut where it gets too long
    dataset, split = ragged()
    x, targets, mask = _mismatched(split.inputs, split.labels["targets"], split.labels["mask"])
    whole = torch.cat([x, targets[:, -1:]], 1)
    expected = [((0,), (5, 6)), ((0,), (7, 8, 5)), ((3, 4), (1, 2)), ((3, 4), (2,))]
    for row, counts, (prompt, completion) in zip(whole.tolist(), mask.tolist(), expected, strict=True):
        assert tuple(row[: len(prompt)]) == prompt
        assert [t for t, c in zip(row[1:], counts, strict=True) if c] == list(completion)
        assert counts.index(True) == len(prompt) - 1
    policy, reference = table(dataset, 1), table(dataset, 2)
    task = Preference(dataset, CPU, reference=reference)
    body, head, _, _ = Network.of(policy)
    found = task.mismatched_logps(body, head, split.inputs, split.labels["targets"], split.labels["mask"])
    assert found.tolist() == pytest.approx([log_p(policy, *own) for own in expected])
    found = task.ref_mismatched_logps(split.inputs, split.labels["targets"], split.labels["mask"])
    assert found.tolist() == pytest.approx([log_p(reference, *own) for own in expected])
    rows = torch.tensor([[[0, 1, 2, 3]], [[4, 5, 6, 7]]])  # one token of prompt, and three of one
    long = split_of(rows, torch.tensor([[3], [1]]), torch.tensor([[4], [4]]), {})
    x, targets, mask = _mismatched(long.inputs, long.labels["targets"], long.labels["mask"])
    assert x[0].tolist() == [0, 1, 2] and x[1, 0] == 4
    assert targets[0][mask[0]].tolist() == [5] and targets[1][mask[1]].tolist() == [3]


def test_expectations_over_all_completions():
    dataset = bradley_terry(generator=generator(), prompt_length=2, **SMALL)
    policy, reference = table(dataset, 1), table(dataset, 2)
    task = Preference(dataset, CPU, reference=reference)
    asked = torch.tensor([4, 0, 4, 8])
    logps = task.policy_logps(policy, asked)
    ends = list(itertools.product(range(3), repeat=2))
    found = {
        "reward": task.policy_rewards(logps, asked),
        "wins": task.policy_wins(logps, asked),
        "kl": task.policy_kl(logps, asked),
        "entropy": task.policy_entropy(logps, asked),
    }
    for i, prompt in enumerate(asked.tolist()):
        tokens = dataset.truth.prompts[prompt].tolist()
        own = [math.exp(log_p(policy, tokens, y)) for y in ends]
        ref = [math.exp(log_p(reference, tokens, y)) for y in ends]
        rewards = dataset.truth.rewards[prompt].tolist()
        assert sum(own) == pytest.approx(1)
        expected = {
            "reward": sum(p * r for p, r in zip(own, rewards, strict=True)),
            "kl": sum(p * math.log(p / q) for p, q in zip(own, ref, strict=True)),
            "entropy": -sum(p * math.log(p) for p in own),
            "wins": sum(
                own[a] * ref[b] * (1.0 if rewards[a] > rewards[b] else 0.5 * (a == b))
                for a in range(9)
                for b in range(9)
            ),
        }
        for name, value in expected.items():
            assert found[name][i].item() == pytest.approx(value), name
    same = task.policy_logps(reference, asked)
    assert task.policy_kl(same, asked).abs().max() < 1e-12
    torch.testing.assert_close(task.policy_wins(same, asked), torch.full((4,), 0.5, dtype=torch.float64))


def test_target_and_information():
    dataset = bradley_terry(generator=generator(), **SMALL)
    policy, reference = table(dataset, 1), table(dataset, 2)
    task = Preference(dataset, CPU, reference=reference)
    asked = torch.tensor([2, 0])
    logps = task.policy_logps(policy, asked)
    ends = list(itertools.product(range(3), repeat=2))
    for i, prompt in enumerate(asked.tolist()):
        tokens = dataset.truth.prompts[prompt].tolist()
        own, ref = ([math.exp(log_p(m, tokens, y)) for y in ends] for m in (policy, reference))
        tilted = [p * math.exp(r) for p, r in zip(ref, dataset.truth.rewards[prompt].tolist(), strict=True)]
        target = [t / sum(tilted) for t in tilted]
        kl = sum(t * math.log(t / p) for t, p in zip(target, own, strict=True))
        assert task.target_kl(logps, asked)[i].item() == pytest.approx(kl)
        ratios = [p / q for p, q in zip(own, ref, strict=True)]
        entropy = -sum(r / sum(ratios) * math.log(r / sum(ratios)) for r in ratios)
        assert task.information(logps, asked)[i].item() == pytest.approx(entropy)


def gpt_policy(dataset, seed):
    torch.manual_seed(seed)
    size = {"depth": 1, "width": 8, "heads": 2}
    return gpt(input_shape=dataset.input_shape[-1:], num_outputs=dataset.num_outputs, **size).double()


def test_gradient_products_against_autograd():
    dataset = bradley_terry(generator=generator(), num_examples=8, **SMALL)
    policy, reference = gpt_policy(dataset, 1), gpt_policy(dataset, 2)
    task = Preference(dataset, CPU, reference=reference, gradient_pairs=3)
    x, targets, mask = dataset.train.inputs, dataset.train.labels["targets"], dataset.train.labels["mask"]
    with torch.no_grad():  # as in an evaluation
        found = task.gradient_products(dict(policy.named_parameters()), x, targets, mask)
    assert found.shape == (8, 3) and found[3:].isnan().all()
    for i in range(3):
        g, h = (log_p_gradient(policy, x[i, side], targets[i, side], mask[i, side]) for side in (0, 1))
        assert found[i].tolist() == pytest.approx([(g @ g).item(), (g @ h).item(), (h @ h).item()], rel=1e-5)
    assert task.gradient_products(dict(policy.named_parameters()), x[:0], targets[:0], mask[:0]).shape == (0, 3)


def log_p_gradient(policy, x, targets, mask):
    log_p = policy(x[None])[0].log_softmax(-1)[torch.arange(len(targets)), targets]
    grads = torch.autograd.grad(log_p[mask].sum(), list(policy.parameters()))
    return torch.cat([grad.flatten() for grad in grads])


def test_gradient_products_predict_a_small_step():
    """A step on dpo of one pair moves log pi(w) by eta d (|g|^2 - <g, h>), log pi(l) by eta d (<g, h> - |h|^2)."""
    dataset = bradley_terry(generator=generator(), num_examples=24, num_symbols=3, completion_length=4)
    signs = set()
    for i in range(24):
        policy, reference = gpt_policy(dataset, 3), gpt_policy(dataset, 3)
        task = Preference(dataset, CPU, reference=reference, gradient_pairs=1)
        one = {"x": dataset.train.inputs[i : i + 1]}
        one |= {name: values[i : i + 1] for name, values in dataset.train.labels.items()}
        gg, gh, hh = task.gradient_products(
            dict(policy.named_parameters()), *(one[k] for k in ("x", "targets", "mask"))
        )[0].tolist()
        objective = Objective(dpo, task, mean, batch=tuple(one))
        before = [log_p(policy, *pair) for pair in sides(one)]
        objective(Network.of(policy), one, {}, {}).loss.backward()
        eta, d = 1e-4, 0.1 * 0.5  # beta times sigmoid(0)
        with torch.no_grad():
            for p in policy.parameters():
                p -= eta * p.grad
        after = [log_p(policy, *pair) for pair in sides(one)]
        up, down = (b - a for a, b in zip(before, after, strict=True))
        assert up == pytest.approx(eta * d * (gg - gh), rel=0.02, abs=1e-9)
        assert down == pytest.approx(eta * d * (gh - hh), rel=0.02, abs=1e-9)
        entangled = gradient_metrics(torch.tensor([[gg, gh, hh]]))["entangled"].item()
        if (gg, gh) != (gh, hh):  # two different completions
            assert entangled == float((up > 0) == (down > 0))
            signs.add(entangled)
    assert signs == {0.0, 1.0}  # both kinds occur


def sides(one):
    """(prompt, completion) of the chosen and of the rejected one; prompts have one symbol."""
    rows = torch.cat([one["x"][0], one["targets"][0, :, -1:]], -1).tolist()
    return [(row[:1], row[1:]) for row in rows]


def test_what_it_begins_with():
    dataset = bradley_terry(generator=generator(), **SMALL)
    reference = table(dataset, 2)
    task = Preference(dataset, CPU, reference=reference)
    found = task.test_metrics({"test": {"ref_chosen_logps": torch.tensor([-1.0, -2.0]),
                                        "ref_rejected_logps": torch.tensor([-2.0, -1.5])}})  # fmt: skip
    assert found["start_likelihood_accuracy"].item() == 0.5 and found["start_chosen_logp"].item() == -1.5
    assert found["start_win_rate"].item() == pytest.approx(0.5)
    rewards = sum(
        math.exp(log_p(reference, prompt, y)) * dataset.truth.rewards[p, i].item() / 3
        for p, prompt in enumerate(dataset.truth.prompts.tolist())
        for i, y in enumerate(dataset.truth.completions.tolist())
    )
    assert found["start_reward"].item() == pytest.approx(rewards)
    assert "start_margin" not in found  # that of a policy with itself
    # The frontier at the KL of some optimum is its reward, and at 8 nats, which no policy needs, the best there is.
    frontier = [found[f"frontier_{kl}"].item() for kl in ("0.1", "0.25", "0.5", "1", "2", "4", "8")]
    assert frontier == sorted(frontier) and rewards < frontier[0]
    assert frontier[-1] == pytest.approx(dataset.truth.rewards.max(1).values.mean().item())
    tilted = (task._ref_logps + dataset.truth.rewards / 0.9).log_softmax(-1)
    kl, reward = (
        (tilted.exp() * (tilted - task._ref_logps)).sum(-1).mean(),
        (tilted.exp() * dataset.truth.rewards).sum(-1),
    )
    low, high = sorted(zip((0.1, 0.25, 0.5, 1, 2, 4, 8), frontier, strict=True), key=lambda point: abs(point[0] - kl))[
        :2
    ]
    assert min(low[1], high[1]) <= reward.mean() <= max(low[1], high[1])


def test_unpaired_data_need_a_loss_for_single_completions():
    dataset = bradley_terry(generator=generator(), **SMALL)
    task = Preference(dataset, CPU, reference=table(dataset))
    with pytest.raises(UsageError, match="compares two completions"):
        task.rejected_logps(torch.zeros(4, 1))


def test_parts_of_a_batch():  # losses of pairs add over them; one with a statistic of the batch does not
    dataset = bradley_terry(generator=generator(), **SMALL)
    task = Preference(dataset, CPU, reference=table(dataset))
    names = ("x", *dataset.train.labels, "ids")
    assert adds_over_micro_batches(Objective(dpo, task, mean, batch=names)) is None
    assert adds_over_micro_batches(Objective(kto, task, mean, batch=names)) == "loss=kto"


def test_refuses_other_data():
    with pytest.raises(UsageError, match="preference reads completions"):
        Preference(digits(generator=generator()), CPU, reference=torch.nn.Linear(1, 1))


def run(outputs, **chosen):
    small = {"model.depth": 1, "model.width": 16, "model.heads": 2}
    settings = {"dataset": "bradley_terry", "outputs": str(outputs), **small, **chosen}
    with pytest.raises(SystemExit) as ended:
        main(["train", *overrides({name.replace("__", "."): value for name, value in settings.items()})])
    assert not ended.value.code
    return next(r for r in records(outputs) if r["choices"]["task"] != "language_modeling")


def test_starts_from_its_reference(tmp_path):  # a step that changes nothing: no KL, no win, no agreement
    best = run(tmp_path, loss="dpo", budget__steps=1, optimizer__lr=1e-12)["best"]
    assert best["test/kl"] == pytest.approx(0, abs=1e-6) and best["test/win_rate"] == pytest.approx(0.5, abs=1e-4)
    assert best["test/margin"] == pytest.approx(0, abs=1e-4) and best["test/reward_gain"] == pytest.approx(0, abs=1e-4)
    for name in ("reward", "win_rate", "chosen_logp", "likelihood_accuracy", "target_kl", "completion_entropy"):
        assert best[f"test/start_{name}"] == pytest.approx(best[f"test/{name}"], rel=1e-3), name


def test_learns(tmp_path):
    best = run(tmp_path, loss="dpo", budget__epochs=2, optimizer__lr=0.003)["best"]
    assert best["test/accuracy"] > 0.65 and best["test/win_rate"] > 0.7 and best["test/reward_gain"] > 0.5
    assert best["test/kl"] > 0.05 and best["test/frontier_gap"] > 0
    assert best["test/start_win_rate"] == pytest.approx(0.5) and best["test/start_reward"] < best["test/reward"]
    assert best["test/target_kl"] < best["test/start_target_kl"]


def test_many_at_once(tmp_path):  # a stack of two losses is what they are alone, metrics of another pass included
    settings = {"dataset__num_examples": 200, "budget__steps": 4, "optimizer__lr": 0.01}
    alone = {loss: run(tmp_path / loss, loss=loss, **settings)["best"] for loss in ("dpo", "kto")}
    stacked = {name.replace("__", "."): value for name, value in settings.items()}
    stacked |= {"dataset": "bradley_terry", "model.depth": 1, "model.width": 16, "model.heads": 2}
    stacked |= {"outputs": str(tmp_path / "stacked")}
    with pytest.raises(SystemExit) as ended:
        main(["train", "-m", *overrides(stacked), "loss=dpo,kto", "hydra/launcher=vectorized"])
    assert not ended.value.code
    together = {r["choices"]["loss"]: r["best"] for r in records(tmp_path / "stacked")}
    for loss, best in alone.items():
        for metric in ("test/kl", "test/reward", "test/margin", "test/gradient_cosine", "test/start_reward"):
            assert together[loss][metric] == pytest.approx(best[metric], rel=1e-3), (loss, metric)
    assert alone["dpo"]["test/kl"] != pytest.approx(alone["kto"]["test/kl"], rel=1e-2)
