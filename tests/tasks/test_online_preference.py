"""What is sampled and in which order, by counting; log-probabilities and metrics by loops; an equilibrium reached."""

import itertools
import math
from functools import partial

import pytest
import torch

from lossbench.advantages.leave_one_out import leave_one_out
from lossbench.cli import main
from lossbench.composing import overrides
from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.errors import UsageError
from lossbench.losses.preference.expected_reward import expected_reward
from lossbench.losses.preference.nash_mp import nash_mp
from lossbench.losses.preference.superhf import superhf
from lossbench.losses.reinforcement.clipped_policy_gradient import clipped_policy_gradient
from lossbench.losses.reinforcement.policy_gradient import policy_gradient
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.results.collect import records
from lossbench.tasks.online_preference import OnlinePreference
from lossbench.variants.intransitive import intransitive
from lossbench.variants.unpaired import unpaired
from tests.datasets.support import generator
from tests.tasks.test_preference import log_p, table

CPU = torch.device("cpu")
ENDS = list(itertools.product(range(3), repeat=2))


def made(circular=True, **hyperparameters):
    dataset = bradley_terry(generator=generator(), num_symbols=3, completion_length=2, prompt_length=2)
    dataset = intransitive(dataset, generator(), scale=3.0) if circular else dataset
    return dataset, OnlinePreference(dataset, CPU, reference=table(dataset, 2), **hyperparameters)


def draws(objective):
    return {step.name: generator(3) for step in objective.collection_draws}


def ranking(task, policy, asked, seed=0):
    logps = task.policy_logps(policy, asked)
    draws = [
        method(asked, generator(seed + i)) for i, method in enumerate((task.sampling_uniforms, task.ordering_uniforms))
    ]
    return task.sampled_ranking(logps, asked, *draws)


def test_pairs_come_from_the_policy_and_the_table():  # how often each comes, first and second
    dataset, task = made()
    policy = table(dataset, 1)
    asked = torch.full((200000,), 4)
    found = ranking(task, policy, asked)
    p = [math.exp(log_p(policy, dataset.truth.prompts[4].tolist(), y)) for y in ENDS]
    counts = torch.bincount(found[:, 0] * 9 + found[:, 1], minlength=81).view(9, 9) / len(asked)
    for a, b in itertools.product(range(9), repeat=2):
        expected = 2 * p[a] * p[b] * dataset.truth.preferences[4, a, b].item()
        assert abs(counts[a, b].item() - expected) < 5 * math.sqrt(expected / len(asked)) + 1e-5


def test_every_prompt_has_its_own_samples():
    dataset, task = made()
    policy = table(dataset, 1)
    asked = torch.arange(9).repeat(20000)
    found = ranking(task, policy, asked)
    for prompt in (0, 8):
        counts = torch.bincount(found[asked == prompt].flatten(), minlength=9) / 40000
        for y, end in enumerate(ENDS):
            expected = math.exp(log_p(policy, dataset.truth.prompts[prompt].tolist(), end))
            assert counts[y].item() == pytest.approx(expected, abs=0.012)


def test_better_ones_first():  # four samples; where preferences come from rewards, the order is theirs
    dataset, task = made(circular=False, samples=4, labels="better")
    asked = torch.arange(9).repeat(5)
    found = ranking(task, table(dataset, 1), asked)
    assert found.shape == (45, 4)
    for prompt, row in zip(asked.tolist(), found.tolist(), strict=True):
        rewards = [dataset.truth.rewards[prompt, y].item() for y in row]
        assert rewards == sorted(rewards, reverse=True)
    dataset, task = made(samples=3, labels="better")
    rows = ranking(task, table(dataset, 1), asked).tolist()
    for prompt, row in zip(asked.tolist(), rows, strict=True):
        rates = [sum(dataset.truth.preferences[prompt, a, b].item() for b in row) for a in row]
        assert all(a >= b - 1e-12 for a, b in itertools.pairwise(rates))


def test_drawn_rankings_are_plackett_luce():  # of three: which is the best, given which there are
    dataset, task = made(circular=False, samples=3)
    found = ranking(task, table(dataset, 1), torch.zeros(200000, dtype=torch.long))
    rewards = dataset.truth.rewards[0].exp().tolist()
    kinds = found.sort(1).values
    common = kinds[(kinds[:, 0] < kinds[:, 1]) & (kinds[:, 1] < kinds[:, 2])].unique(dim=0, return_counts=True)
    three = common[0][common[1].argmax()]
    orders = found[(kinds == three).all(1)]
    for y in three.tolist():
        expected = rewards[y] / sum(rewards[z] for z in three.tolist())
        assert (orders[:, 0] == y).double().mean().item() == pytest.approx(expected, abs=0.02)


def test_log_probabilities_are_of_the_samples():
    dataset, task = made()
    policy, reference = table(dataset, 1), table(dataset, 2)
    asked, samples = torch.tensor([5, 0, 7]), torch.tensor([[3, 8], [1, 1], [6, 2]])
    rows = task.sampled_rows(samples, asked)
    x, targets, mask = task.sampled_x(rows), task.sampled_targets(rows), task.sampled_mask(rows)
    body, head, _, _ = Network.of(policy)
    own = task.ranking_logps(task.ranking_token_logps(task.ranking_logits(body, head, x), targets, mask))
    logits = task.ref_ranking_logits(task.ref_ranking_features(x))
    ref = task.ref_ranking_logps(task.ref_ranking_token_logps(logits, targets, mask))
    logps = task.policy_logps(policy, asked)
    for i, j in itertools.product(range(3), range(2)):
        prompt, y = dataset.truth.prompts[asked[i]].tolist(), samples[i, j]
        assert own[i, j].item() == pytest.approx(log_p(policy, prompt, ENDS[y]))
        assert ref[i, j].item() == pytest.approx(log_p(reference, prompt, ENDS[y]))
        assert task.enumerated_logps(logps, asked)[i, y].item() == pytest.approx(own[i, j].item())
        assert task.ref_enumerated_logps(asked)[i, y].item() == pytest.approx(ref[i, j].item())
    assert torch.equal(task.preference_table(asked), dataset.truth.preferences[asked])


def test_samples_of_reinforcement_learning():  # prompt by prompt, with the reward and the tokens of each completion
    dataset, task = made()
    policy, reference = table(dataset, 1), table(dataset, 2)
    asked, samples = torch.tensor([5, 0, 7]), torch.tensor([[3, 8], [1, 1], [6, 2]])
    rows = task.sampled_rows(samples, asked)
    x, targets, mask = task.sampled_x(rows), task.sampled_targets(rows), task.sampled_mask(rows)
    body, head, _, _ = Network.of(policy)
    own = task.ranking_token_logps(task.ranking_logits(body, head, x), targets, mask)
    ref = task.ref_ranking_token_logps(task.ref_ranking_logits(task.ref_ranking_features(x)), targets, mask)
    rewards = task.rewards(samples, asked)
    advantages = task.advantages(rewards - 1, mask)
    assert task.completion_advantages(rewards).sum(1).abs().max() < 1e-5
    for i, (x, y) in enumerate(zip(asked.repeat_interleave(2).tolist(), samples.flatten().tolist(), strict=True)):
        prompt = dataset.truth.prompts[x].tolist()
        assert rewards.flatten()[i].item() == pytest.approx(dataset.truth.rewards[x, y].item())
        assert advantages[i].tolist() == pytest.approx([dataset.truth.rewards[x, y].item() - 1] * 3)
        for model, logps in ((policy, task.token_logps(own)), (reference, task.ref_token_logps(ref))):
            first = log_p(model, prompt, ENDS[y][:1])
            expected = [0.0, first, log_p(model, prompt, ENDS[y]) - first]
            assert logps[i].tolist() == pytest.approx(expected)
    assert torch.equal(task.old_token_logps(task.rollout_logps(own)), task.token_logps(own))


def test_mask_and_margins_are_of_the_samples():
    """A step sees those, and the metrics those of the data's own pairs."""
    from lossbench.losses.preference.mmpo import mmpo

    dataset, task = made(circular=False, samples=3)
    labels = {name: values[:5] for name, values in dataset.train.labels.items()}
    batch = {"x": dataset.train.inputs[:5], **labels, "ids": torch.arange(5)}
    policy = table(dataset, 2)
    uniforms = torch.rand((2, 5, 3), generator=generator(), dtype=torch.float64)
    with torch.no_grad():
        chosen = task.sampled_ranking(task.policy_logps(policy, labels["prompt_ids"]), labels["prompt_ids"], *uniforms)
    rewards = task.rewards(chosen, labels["prompt_ids"])
    assert torch.equal(task.reward_margins(rewards), rewards[:, 0] - rewards[:, 2])
    rows = task.sampled_rows(chosen, labels["prompt_ids"])
    assert task.mask(task.sampled_mask(rows)).shape == (15, rows.shape[-1] - 1)
    objective = Objective(mmpo, task, mean, batch=tuple(batch))
    made_by = {step.name for step in (*objective.plan, *objective.collection)}
    assert {"mask", "reward_margins"} <= made_by and not {"mask", "reward_margins"} & {*objective.batch_names}
    assert "mask" not in {step.name for step in objective._resolve(["data_logps"], tuple(batch))[0]}


def test_metrics_by_loops():
    dataset, task = made(beta=0.3)
    policy, reference = table(dataset, 1), table(dataset, 2)
    asked = torch.tensor([4, 0])
    logps = task.policy_logps(policy, asked)
    prompts, t = dataset.truth.prompts.tolist(), dataset.truth.preferences
    p, q = ([[math.exp(log_p(m, x, y)) for y in ENDS] for x in prompts] for m in (policy, reference))
    found = [
        method(logps, asked)
        for method in (task.policy_preference, task.policy_exploitability, task.policy_regularized_exploitability)
    ]
    for i, x in enumerate(asked.tolist()):
        wins = [sum(t[x, a, b].item() * p[x][b] for b in range(9)) for a in range(9)]
        assert found[0][i].item() == pytest.approx(
            sum(p[x][a] * q[x][b] * t[x, a, b].item() for a in range(9) for b in range(9))
        )
        assert found[1][i].item() == pytest.approx(max(wins) - 0.5)
        kl = sum(a * math.log(a / b) for a, b in zip(p[x], q[x], strict=True))
        best = 0.3 * math.log(sum(q[x][a] * math.exp(wins[a] / 0.3) for a in range(9)))
        assert found[2][i].item() == pytest.approx(best + 0.3 * kl - 0.5)
    repeated = task.policy_repetition(logps, asked)
    for i, x in enumerate(asked.tolist()):
        shared = [
            p[x][a] * p[z][b] * sum(c == d for c, d in zip(ENDS[a], ENDS[b], strict=True)) / 2
            for z in range(9) if z != x for a in range(9) for b in range(9)
        ]  # fmt: skip
        assert repeated[i].item() == pytest.approx(sum(shared) / 8)


def test_what_was_sampled_stays_while_the_policy_moves():
    dataset, task = made(circular=False, samples=4, labels="better")
    policy = table(dataset, 1)
    objective = Objective(superhf, task, mean, batch=("x", *dataset.train.labels, "ids"))
    assert objective.collected == ["sampled_ranking"]
    batch = {"x": dataset.train.inputs[:50], **{k: v[:50] for k, v in dataset.train.labels.items()}}
    draws = {step.name: generator(1) for step in objective.collection_draws}
    collected = objective.collect(Network.of(policy), batch, draws)
    before = objective(Network.of(policy), collected, {}, {}).terms
    torch.nn.init.normal_(policy.body.table.weight, generator=generator(7))
    after = objective(Network.of(policy), collected, {}, {}).terms
    expected = [
        log_p(policy, dataset.truth.prompts[x].tolist(), ENDS[y])
        for x, y in zip(collected["prompt_ids"].tolist(), collected["sampled_ranking"][:, 0].tolist(), strict=True)
    ]
    assert after["likelihood"].item() == pytest.approx(-sum(expected) / 2)
    assert after["likelihood"].item() != pytest.approx(before["likelihood"].item(), rel=1e-3)


def test_mirror_prox_reaches_the_equilibrium():  # rounds of gradients on a table, whose policy is free
    dataset, task = made(beta=0.2)
    policy = table(dataset, 1)
    objective = Objective(partial(nash_mp, beta=0.2, eta=0.4), task, mean, batch=("x", *dataset.train.labels, "ids"))
    asked = torch.arange(9)
    batch = {"x": dataset.train.inputs[:9], **{k: v[:9] for k, v in dataset.train.labels.items()}, "prompt_ids": asked}
    gap = [task.policy_regularized_exploitability(task.policy_logps(policy, asked), asked).mean().item()]
    for _ in range(25):
        collected = objective.collect(Network.of(policy), batch, draws(objective))
        optimizer = torch.optim.LBFGS(policy.parameters(), max_iter=100, line_search_fn="strong_wolfe")

        def closure(collected=collected, optimizer=optimizer):
            optimizer.zero_grad()
            loss = objective(Network.of(policy), collected, {}, {}).loss
            loss.backward()
            return loss

        optimizer.step(closure)
        gap.append(task.policy_regularized_exploitability(task.policy_logps(policy, asked), asked).mean().item())
    assert gap[0] > 0.1 and gap[-1] < 1e-4, gap


@pytest.mark.parametrize("loss", [policy_gradient, clipped_policy_gradient])
def test_policy_gradients(
    loss,
):  # on average over samples that of the exact expected reward; at the policy that samples
    dataset, task = made(circular=False, samples=4)
    policy = table(dataset, 1)
    names = ("x", *dataset.train.labels, "ids")
    asked = torch.arange(9).repeat(4000)
    batch = {"x": dataset.train.inputs[:1].expand(len(asked), -1, -1), "prompt_ids": asked}
    batch["mask"] = dataset.train.labels["mask"][:1].expand(len(asked), -1, -1)

    def gradient(objective, given):
        objective(Network.of(policy), given, {}, {}).loss.backward()
        found, policy.body.table.weight.grad = policy.body.table.weight.grad, None
        return found

    sampled = Objective(loss, task, mean, batch=names, instead={"completion_advantages": leave_one_out})
    given = sampled.collect(Network.of(policy), batch, draws(sampled))
    whole = Objective(partial(expected_reward, beta=0.0), task, mean, batch=names)
    few = {name: values[:9] for name, values in batch.items()}
    exact = gradient(whole, whole.collect(Network.of(policy), few, draws(whole)))
    found = 2 * gradient(sampled, given)  # the mean over the two tokens of a completion, and its sum
    assert torch.nn.functional.cosine_similarity(found.flatten(), exact.flatten(), dim=0) > 0.99
    assert (found.norm() / exact.norm()).item() == pytest.approx(1, abs=0.03)


def test_refuses():
    dataset = bradley_terry(generator=generator(), num_symbols=3, completion_length=2)
    with pytest.raises(UsageError, match="by true preferences"):
        OnlinePreference(unpaired(dataset, generator()), CPU, reference=table(dataset))
    with pytest.raises(UsageError, match="no order can be drawn"):
        OnlinePreference(intransitive(dataset, generator()), CPU, reference=table(dataset), samples=3)


def test_learns(tmp_path):  # pairs of its own bring DPO a higher true preference; the folder has all metrics
    small = {"model.depth": 1, "model.width": 16, "model.heads": 2, "dataset": "bradley_terry", "loss": "dpo"}
    small |= {"dataset.num_symbols": 4, "dataset.completion_length": 3, "task": "online_preference", "task.passes": 3}
    with pytest.raises(SystemExit) as ended:
        main(["train", *overrides({**small, "outputs": str(tmp_path), "budget.epochs": 3, "optimizer.lr": 0.003})])
    assert not ended.value.code
    best = next(r for r in records(tmp_path) if r["choices"]["task"] == "online_preference")["best"]
    assert best["test/preference_rate"] > 0.65 and best["test/reward_gain"] > 0.5
    assert 0 < best["test/exploitability"] < 0.5 and 0 < best["test/prompt_repetition"] < 1
