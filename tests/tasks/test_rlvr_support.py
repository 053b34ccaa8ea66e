"""What task=rlvr says at the end of what the policy began with and of how its solutions have changed."""

import pytest
import torch

from lossbench.datasets.countdown_prompts import countdown_prompts
from lossbench.losses.reinforcement.policy_gradient import policy_gradient
from lossbench.models.ngram_table import ngram_table
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.tasks import rlvr
from lossbench.tasks.rlvr import Rlvr
from tests.datasets.support import generator


@pytest.fixture(scope="module")
def measured():
    dataset = countdown_prompts(generator=generator(), num_examples=100, numbers=2, num_samples=10)
    shape, outputs = Rlvr.shapes(dataset)
    torch.manual_seed(0)
    reference = ngram_table(input_shape=shape, num_outputs=outputs, order=1)
    with torch.no_grad():
        reference.body.table.weight.normal_(std=2.0)
    task = Rlvr(dataset, torch.device("cpu"), reference=reference, samples=64)
    objective = Objective(policy_gradient, task, mean)
    split = dataset.test
    batch = {"x": split.inputs, **split.labels, "ids": torch.arange(len(split.inputs))}
    observe = objective.observer([*objective.observable(task.batch), "samples"], task.batch)
    with torch.no_grad():
        return task, observe(Network.of(reference), batch)


def test_a_policy_that_is_the_reference_differs_by_chance_alone(measured):
    task, values = measured
    found = task.test_metrics({"test": values})
    now = task.metrics(**{name: value for name, value in values.items() if name != "samples"})
    for name in ("reward", "pass_at_1", "pass_at_64"):  # other samples of the same policy
        assert float(found[f"start_{name}"]) == pytest.approx(float(now[name]), abs=0.1)
    assert float(found["answer_entropy"]) == pytest.approx(float(found["start_answer_entropy"]), rel=0.05)
    assert float(found["answer_entropy"]) != float(found["start_answer_entropy"])


def test_parts_of_the_reference_samples(measured, monkeypatch):  # nothing depends on how many are written at once
    task, values = measured
    whole = task.test_metrics({"test": values})
    monkeypatch.setattr(rlvr, "AT_ONCE", 3 * 64)
    assert task.test_metrics({"test": values}) == whole


def test_hand(measured):  # a policy that writes the same right answer every time, or the same wrong one
    task, values = measured
    tokens = torch.full_like(values["sample_tokens"], 15)  # nothing but the end
    found = task.test_metrics({"test": {**values, "sample_tokens": tokens, "sample_rewards": torch.zeros(10, 64)}})
    assert float(found["solutions"]) == 0 and float(found["answer_entropy"]) == 0
    found = task.test_metrics({"test": {**values, "sample_tokens": tokens, "sample_rewards": torch.ones(10, 64)}})
    assert float(found["solutions"]) == 1 and float(found["net_discovery"]) == 1


def test_tokens_of_rollouts_at_their_places(measured):
    task, values = measured
    written, lengths = values["samples"], values["prompt_lengths"]
    mask, tokens = task.rollout_mask(written, lengths), task.rollout_tokens(written)
    completions = task.completion_tokens(written, lengths)
    assert mask.any(-1).all() and not mask.all()
    for i in range(len(written)):
        for s in range(3):
            own = tokens[i, s][mask[i, s]].tolist()
            assert own == completions[i, s, : len(own)].tolist()
