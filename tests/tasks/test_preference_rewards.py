"""True rewards of completions, what logits say beside log-probabilities, and divergences to the target, by loops."""

import itertools

import numpy
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr

from lossbench.datasets.bradley_terry import bradley_terry
from lossbench.metrics.preference import divergence_metrics
from lossbench.objective import Network
from lossbench.tasks.online_preference import OnlinePreference
from lossbench.tasks.preference import Preference
from tests.datasets.support import generator
from tests.tasks.test_preference import log_p, table

CPU = torch.device("cpu")
ENDS = list(itertools.product(range(3), repeat=2))


@pytest.fixture(scope="module")
def dataset():
    return bradley_terry(generator=generator(), num_symbols=3, completion_length=2, prompt_length=2)


def test_rewards_of_the_data(dataset):
    task = Preference(dataset, CPU, reference=table(dataset, 2))
    x, labels = dataset.train.inputs[:20], {k: v[:20] for k, v in dataset.train.labels.items()}
    found = task.rewards(labels["targets"], labels["prompt_ids"])
    for i, k in itertools.product(range(20), range(2)):
        prompt, completion = x[i, k, :2].tolist(), tuple(labels["targets"][i, k, 1:].tolist())
        expected = dataset.truth.rewards[dataset.truth.prompts.tolist().index(prompt), ENDS.index(completion)]
        assert found[i, k].item() == pytest.approx(expected.item())
    torch.testing.assert_close(found[:, 0] - found[:, 1], labels["reward_margins"].float())


def test_logits_are_log_probabilities_and_values(dataset):
    policy, reference = table(dataset, 1), table(dataset, 2)
    task = Preference(dataset, CPU, reference=reference)
    x, labels = dataset.train.inputs[:20], {k: v[:20] for k, v in dataset.train.labels.items()}
    body, head, _, _ = Network.of(policy)
    logits = task.ranking_logits(body, head, x)
    own = task.ranking_token_logps(logits, labels["targets"], labels["mask"]) + task.ranking_values(logits)
    chosen = logits.gather(-1, labels["targets"].unsqueeze(-1)).squeeze(-1)
    assert task.ranking_mask(labels["mask"]).sum() == 20 * 2 * 2
    torch.testing.assert_close(own[labels["mask"]], chosen[labels["mask"]])


def test_what_was_sampled(dataset):
    task = OnlinePreference(dataset, CPU, reference=table(dataset, 2))
    logps = -torch.rand(4, 2, 3)
    torch.testing.assert_close(task.old_ranking_logps(logps), logps.sum(-1))


def test_divergences_to_the_target(dataset):
    policy, reference = table(dataset, 1), table(dataset, 2)
    task = OnlinePreference(dataset, CPU, reference=reference)
    asked = torch.tensor([0, 4, 8])
    found = task.target_divergences(task.policy_logps(policy, asked), asked)
    by_hand = []
    for prompt in asked.tolist():
        own = numpy.exp([log_p(policy, dataset.truth.prompts[prompt].tolist(), y) for y in ENDS])
        target = numpy.exp([log_p(reference, dataset.truth.prompts[prompt].tolist(), y) for y in ENDS])
        target = target * numpy.exp(dataset.truth.rewards[prompt].numpy())
        target = target / target.sum()
        distance = abs(own - target).sum() / 2
        by_hand.append([rel_entr(own, target).sum(), distance, jensenshannon(own, target) ** 2])
    torch.testing.assert_close(found, torch.tensor(numpy.array(by_hand)))
    values = divergence_metrics(found)
    assert list(values) == ["target_reverse_kl", "target_distance", "target_divergence"]
    assert values["target_distance"].item() == pytest.approx(sum(row[1] for row in by_hand) / 3)
