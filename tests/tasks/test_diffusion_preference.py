"""Bounds by sums over all sets of hidden tokens, the policy's distribution by loops over all orders."""

import itertools
import math

import pytest
import torch

from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.datasets.digits import digits
from lossbench.datasets.preferences import PreferenceDataset, split_of
from lossbench.errors import UsageError
from lossbench.losses.preference.dpo import dpo
from lossbench.models.denoiser import denoiser
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.tasks.completion_diffusion import CompletionDiffusion, hidden_tokens
from lossbench.tasks.diffusion_preference import DiffusionPreference
from lossbench.variants.completions import completions
from tests.datasets.support import generator
from tests.tasks.test_preference import CPU, run

SMALL = {"num_symbols": 3, "completion_length": 3, "num_examples": 40}


def model(dataset, seed):
    torch.manual_seed(seed)
    shape, outputs = DiffusionPreference.shapes(dataset)
    made = denoiser(input_shape=shape, num_outputs=outputs, depth=1, width=16, heads=2).double()
    torch.nn.init.normal_(made.head.weight, std=0.5)  # an untrained model says the same of everything
    return made


def log_p(policy, symbols, prompt, completion, hidden, place):
    """log pi(y_place | x, y without the hidden)."""
    row = [*prompt, *(symbols if i in hidden else token for i, token in enumerate(completion))]
    logits = policy(torch.tensor([row]))[0, len(prompt) + place]
    return (logits[completion[place]] - logits.exp().sum().log()).item()


def bound(policy, symbols, prompt, completion):
    """The sum over all sets of hidden places."""
    length, total = len(completion), 0.0
    for number in range(1, length + 1):
        sets = list(itertools.combinations(range(length), number))
        for hidden in sets:
            own = sum(log_p(policy, symbols, prompt, completion, hidden, i) for i in hidden)
            total += length / number * own / (length * len(sets))
    return total


def sampled(policy, symbols, prompt, completion):
    """Probability that the completion is uncovered, over all orders of its places."""
    length = len(completion)
    orders = list(itertools.permutations(range(length)))
    return sum(
        math.exp(sum(log_p(policy, symbols, prompt, completion, order[n:], order[n]) for n in range(length)))
        for order in orders
    ) / len(orders)


def test_hidden_tokens():
    mask = torch.tensor([False, True, True, True, False]).expand(4000, 5)
    parts, places = torch.rand(4000, 1, generator=generator(1)), torch.rand(4000, 5, generator=generator(2))
    hidden = hidden_tokens(parts, places, mask)
    assert not hidden[:, [0, 4]].any()
    counts = hidden.sum(1).bincount(minlength=4)
    assert counts[0] == 0 and ((counts[1:] / 4000 - 1 / 3).abs() < 0.05).all()
    assert ((hidden[:, 1:4].double().mean(0) - 2 / 3).abs() < 0.05).all()
    last = hidden_tokens(torch.tensor([[1 - 1e-7]]), places[:1], mask[:1])
    assert last.sum() == 3


def test_estimate_has_the_bound_as_its_mean():
    dataset = bradley_terry(generator=generator(), **SMALL)
    policy = model(dataset, 1)
    body, head, _, _ = Network.of(policy)
    x, targets, mask = (
        v[:2] for v in (dataset.train.inputs, dataset.train.labels["targets"], dataset.train.labels["mask"])
    )
    expected = [[bound(policy, 3, pair[:1].tolist(), pair[1:].tolist())
                 for pair in torch.cat([x[i], targets[i, :, -1:]], -1)] for i in range(2)]  # fmt: skip
    for times, masks in ((1, 1), (2, 3)):
        task = DiffusionPreference(dataset, CPU, reference=model(dataset, 2), times=times, masks=masks)
        many = [v.repeat_interleave(1000, 0) for v in (x, targets, mask)]
        noise = task.bound_noise(many[0], generator())
        assert noise.shape == (2000, 2, times, 1 + 3 * masks)
        with torch.no_grad():
            found = task.ranking_logps(body, head, *many, noise).view(2, 1000, 2)
        error = (found.mean(1) - torch.tensor(expected, dtype=torch.float64)).abs()
        assert (error < 4 * found.std(1) / math.sqrt(1000) + 1e-9).all()


def test_distribution_over_completions():
    dataset = bradley_terry(generator=generator(), **SMALL)
    policy, task = model(dataset, 1), DiffusionPreference(dataset, CPU, reference=model(dataset, 2))
    with torch.no_grad():
        found = task.policy_logps(policy, torch.arange(3))
    torch.testing.assert_close(found.exp().sum(1), torch.ones(3, dtype=torch.float64))
    for prompt in range(3):
        tokens = dataset.truth.prompts[prompt].tolist()
        for i in (0, 5, 11, 26):
            completion = dataset.truth.completions[i].tolist()
            assert found[prompt, i].exp().item() == pytest.approx(sampled(policy, 3, tokens, completion))
            assert bound(policy, 3, tokens, completion) <= found[prompt, i].item() + 1e-9  # Jensen


def estimates(task, policy, dataset, seed=0):
    """The preference scores of the training pairs, with fresh noise."""
    body, head, _, _ = Network.of(policy)
    x, targets, mask = dataset.train.inputs, dataset.train.labels["targets"], dataset.train.labels["mask"]
    noise = task.bound_noise(x, generator(seed))
    other = task.ref_bound_noise(noise, x, generator(seed + 1000))
    with torch.no_grad():
        ratio = task.ranking_logps(body, head, x, targets, mask, noise) - task.ref_ranking_logps(
            x, targets, mask, other
        )
    return ratio[:, 0] - ratio[:, 1]


def test_shared_draws_cancel_where_the_policy_is_the_reference():
    dataset = bradley_terry(generator=generator(), **SMALL)
    policy, reference = model(dataset, 1), model(dataset, 1)
    shared = DiffusionPreference(dataset, CPU, reference=reference, times=2)
    apart = DiffusionPreference(dataset, CPU, reference=reference, times=2, shared=False)
    assert estimates(shared, policy, dataset).abs().max() < 1e-12
    assert estimates(apart, policy, dataset).abs().max() > 0.1


def test_variances_are_in_the_order_of_the_paper():
    dataset = bradley_terry(generator=generator(), **SMALL)
    policy, reference = model(dataset, 1), model(dataset, 1)
    with torch.no_grad():
        for p in policy.parameters():
            p += 0.05 * torch.randn(p.shape, generator=generator(3), dtype=p.dtype)

    def variance(**chosen):
        task = DiffusionPreference(dataset, CPU, reference=reference, **chosen)
        return torch.stack([estimates(task, policy, dataset, seed) for seed in range(40)]).var(0).mean().item()

    naive = variance(times=1, masks=4, shared=False)
    allocated, shared, both = variance(times=4, shared=False), variance(times=1, masks=4), variance(times=4)
    assert both < shared < naive and both < allocated < naive
    assert variance(times=1) / both == pytest.approx(4, rel=0.35)  # independent draws
    measured = DiffusionPreference(dataset, CPU, reference=reference, times=4)
    body, head, _, _ = Network.of(policy)
    labels = dataset.train.labels
    with torch.no_grad():
        found = measured.score_variance(body, head, dataset.train.inputs, labels["targets"], labels["mask"])
    assert len(found) == 40 and found.mean().item() == pytest.approx(both, rel=0.35)


def test_loss_is_dpo_of_the_bounds():
    dataset = bradley_terry(generator=generator(), **SMALL)
    policy, reference = model(dataset, 1), model(dataset, 2)
    task = DiffusionPreference(dataset, CPU, reference=reference, times=3, masks=2, shared=False)
    batch = {"x": dataset.train.inputs, **dataset.train.labels}
    objective = Objective(dpo, task, mean, batch=tuple(batch))
    assert {step.name for step in objective.draws} == {"bound_noise", "ref_bound_noise"}
    streams = {"bound_noise": generator(0), "ref_bound_noise": generator(1000)}
    found = objective(Network.of(policy), objective.draw(dict(batch), streams), {}, {}).loss
    score = estimates(task, policy, dataset)
    assert found.item() == pytest.approx(torch.log1p(torch.exp(-0.1 * score)).mean().item())


def test_completions_of_other_lengths():
    rows = torch.tensor([[[0, 1, 2, 0, 0], [0, 2, 0, 0, 0]], [[1, 2, 0, 1, 0], [1, 2, 2, 1, 2]]])
    split = split_of(rows, torch.tensor([[1, 1], [2, 2]]), torch.tensor([[3, 2], [4, 5]]), {})
    dataset = PreferenceDataset(split, split, split, num_outputs=3)
    policy, task = model(dataset, 1), DiffusionPreference(dataset, CPU, reference=model(dataset, 2), times=400)
    body, head, _, _ = Network.of(policy)
    noise = task.bound_noise(split.inputs, generator())
    with torch.no_grad():
        found = task.ranking_logps(body, head, split.inputs, split.labels["targets"], split.labels["mask"], noise)
    for i, side, start, stop in ((0, 0, 1, 3), (0, 1, 1, 2), (1, 0, 2, 4), (1, 1, 2, 5)):
        own = rows[i, side].tolist()

        def with_padding(inputs, own=own, stop=stop):  # what stands behind is seen too
            tail = torch.tensor(own[stop:]).expand(len(inputs), -1)
            return policy(torch.cat([inputs, tail], 1))

        assert found[i, side].item() == pytest.approx(bound(with_padding, 3, own[:start], own[start:stop]), rel=0.05)


def test_completion_diffusion():
    dataset = completions(bradley_terry(generator=generator(), **SMALL), generator())
    task = CompletionDiffusion(dataset, CPU)
    x, targets, mask = (dataset.train.inputs[:8], dataset.train.labels["targets"][:8], dataset.train.labels["mask"][:8])
    noise = task.diffusion_noise(targets, generator())
    hidden = task.hidden(noise, torch.ones(8), mask)
    assert torch.equal(hidden, mask)
    policy = torch.nn.Linear(1, 3).requires_grad_(False)
    policy.weight.zero_()
    values = task.metrics(
        task.bound(lambda t: t[..., None].float(), lambda t: policy(t) - policy.bias, x, targets, mask)
    )
    assert values["nll"].item() == pytest.approx(math.log(3), rel=1e-6)


def test_refuses_other_data():
    with pytest.raises(UsageError, match="preference reads completions"):
        DiffusionPreference(digits(generator=generator()), CPU, reference=torch.nn.Linear(1, 1))
    with pytest.raises(UsageError, match="does not tell from"):
        CompletionDiffusion(bradley_terry(generator=generator(), **SMALL), CPU)


def test_run(tmp_path):
    settings = {"loss": "dpo", "task": "diffusion_preference", "model": "denoiser", "dataset__num_symbols": 3}
    best = run(tmp_path, **settings, task__times=2, budget__epochs=2, optimizer__lr=0.005, batch_size=128)["best"]
    assert best["test/start_win_rate"] == pytest.approx(0.5) and best["test/win_rate"] > 0.6
    assert best["test/kl"] > 0.01 and best["test/frontier_gap"] > 0 and best["test/score_deviation"] > 0
    assert "test/gradient_cosine" not in best and "test/top_mass" not in best
