"""What is hidden and how often, log-probabilities with it hidden by a loop, and a policy that does not see."""

import itertools

import pytest
import torch

from lossbench.datasets.digit_prompts import digit_prompts
from lossbench.datasets.sorting_prompts import sorting_prompts
from lossbench.errors import UsageError
from lossbench.losses.reinforcement.clipped_policy_gradient import clipped_policy_gradient
from lossbench.models.gpt import gpt
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.regularizers.perception_kl import perception_kl
from lossbench.tasks.picture_rlvr import PictureRlvr
from tests.datasets.support import generator

CPU = torch.device("cpu")


def made(**hyperparameters):
    dataset = digit_prompts(generator=generator(), num_samples=10)
    shape, outputs = PictureRlvr.shapes(dataset)
    torch.manual_seed(0)
    model = gpt(input_shape=shape, num_outputs=outputs, depth=1, width=8, heads=1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # so that what is read makes a difference
    batch = {"x": dataset.train.inputs[:6], **{k: v[:6] for k, v in dataset.train.labels.items()}}
    batch["ids"] = torch.arange(6)
    return dataset, model, PictureRlvr(dataset, CPU, reference=model, completions=3, **hyperparameters), batch


def collected(part):
    _, model, task, batch = made(hidden_part=part)
    objective = Objective(clipped_policy_gradient, task, mean, [perception_kl])
    assert "rollout_masked_logps" in objective.collected
    streams = {name: generator(i) for i, name in enumerate(step.name for step in objective.collection_draws)}
    return objective.collect(Network.of(model), batch, streams)


def test_a_part_of_the_picture_is_hidden():
    dataset, _, task, batch = made(hidden_part=0.6)
    rollouts = torch.cat([batch["x"].unsqueeze(1).expand(-1, 3, -1), torch.zeros(6, 3, 3, dtype=torch.long)], -1)
    uniforms = task.hiding_uniforms(batch["x"], generator())
    found = task.masked_rollouts(rollouts, uniforms)
    hidden = found == dataset.hidden
    assert torch.equal(hidden[..., :16], uniforms < 0.6) and not hidden[..., 16:].any()
    assert torch.equal(found[~hidden], rollouts[~hidden]) and abs(hidden[..., :16].float().mean() - 0.6) < 0.1
    assert not torch.equal(hidden[:, 0], hidden[:, 1])  # drawn for each completion


def test_log_probabilities_with_a_part_hidden():
    dataset, model, task, batch = made()
    rollouts = torch.randint(5, 15, (6, 3, 20), generator=generator())
    rollouts[..., :18] = batch["x"].unsqueeze(1)
    uniforms = task.hiding_uniforms(batch["x"], generator())
    hidden = task.masked_rollouts(rollouts, uniforms)
    mask = task.mask(rollouts, batch["prompt_lengths"])
    body, head, _, _ = Network.of(model)
    found = task.rollout_masked_logps(body, head, hidden, rollouts, mask)
    for i, k in itertools.product(range(6), range(3)):
        for place in (18, 19):
            read = rollouts[i, k, :place].clone()
            read[:16][uniforms[i, k] < 0.6] = dataset.hidden
            expected = model(read.unsqueeze(0))[0, -1].log_softmax(-1)[rollouts[i, k, place]]
            assert found[i, k, place - 1].item() == pytest.approx(expected.item(), abs=1e-5)
    assert (found[..., :17] == 0).all()


def test_nothing_hidden_is_what_the_policy_said():
    values = collected(0.0)
    torch.testing.assert_close(values["rollout_masked_logps"], values["rollout_logps"])
    assert not torch.allclose(collected(0.9)["rollout_masked_logps"], values["rollout_logps"])


def test_a_blind_policy_does_not_see():
    dataset, model, task, batch = made(samples=1000)
    body, head, _, _ = Network.of(model)
    given = {key: batch[key] for key in ("prompt_lengths", "answers", "ids")}
    found = task.blind_rewards(body, head, batch["x"], **given)
    other = batch["x"].clone()
    other[:, :16] = 0
    torch.testing.assert_close(task.blind_rewards(body, head, other, **given), found)
    other[:, :16] = dataset.hidden
    seen = task.samples(body, head, other, batch["prompt_lengths"], batch["ids"])
    torch.testing.assert_close(task.sample_rewards(seen, batch["prompt_lengths"], batch["answers"]), found)
    assert found.mean() > 0  # by chance


def test_prompts_without_a_picture_are_refused():
    dataset = sorting_prompts(generator=generator(), num_examples=20, num_samples=2)
    shape, outputs = PictureRlvr.shapes(dataset)
    model = gpt(input_shape=shape, num_outputs=outputs, depth=1, width=8, heads=1)
    with pytest.raises(UsageError, match="dataset=digit_prompts"):
        PictureRlvr(dataset, CPU, reference=model)
