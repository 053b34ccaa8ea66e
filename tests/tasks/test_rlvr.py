import math

import pytest
import torch
from torch import nn

from lossbench import checkpoint, run
from lossbench.datasets.digits import digits
from lossbench.datasets.sorting_prompts import sorting_prompts
from lossbench.errors import UsageError
from lossbench.models.gpt import gpt
from lossbench.objective import Network
from lossbench.results import record as records
from lossbench.tasks.rlvr import Rlvr
from lossbench.tasks.rollouts import completed
from lossbench.trainer import Interrupted
from tests.engine import identical, prepared, trainer, weights

SMALL = ("dataset=sorting_prompts", "dataset.num_samples=2000", "dataset.num_examples=400", "model.depth=1",
         "model.width=16", "model.heads=2", "batch_size=8", "budget.steps=6", "evaluation.steps=3",
         "checkpoint.seconds=null", "task.completions=4", "task.samples=4", "recipe=grpo")  # fmt: skip


def made(seed=0, **options):
    """(task, a policy, a batch of five prompts) in float64."""
    dataset = sorting_prompts(generator=torch.Generator().manual_seed(0), num_examples=60, num_samples=1)
    (length,), tokens = Rlvr.shapes(dataset)

    def model(seed):
        torch.manual_seed(seed)
        found = gpt(input_shape=(length,), num_outputs=tokens, depth=1, width=16, heads=2).double()
        nn.init.normal_(found.head.weight)  # far from uniform
        return found.eval()

    task = Rlvr(dataset, torch.device("cpu"), reference=model(7), **{"completions": 3, "samples": 2, **options})
    own = slice(5)
    batch = {"x": dataset.train.inputs[own], "ids": torch.arange(5)}
    return task, model(seed), {**batch, **{name: values[own] for name, values in dataset.train.labels.items()}}


def rollouts_of(task, policy, batch):
    uniforms = task.sampling_uniforms(batch["x"], torch.Generator().manual_seed(3))
    with torch.no_grad():
        return task.rollouts(policy.body, policy.head, batch["x"], batch["prompt_lengths"], uniforms), uniforms


def test_completions_are_drawn_from_the_policy_token_by_token():
    """A loop without a cache, one row at a time, that inverts the distribution function at the same numbers."""
    task, policy, batch = made(temperature=0.7)
    rollouts, uniforms = rollouts_of(task, policy, batch)
    end, most = task._end, task._most
    for i, length in enumerate(batch["prompt_lengths"].tolist()):
        for r in range(3):
            row = batch["x"][i, :length].tolist()
            while len(row) - length < most and (len(row) == length or row[-1] != end):
                p = (policy(torch.tensor([row]))[0, -1] / 0.7).softmax(-1)
                row.append(sum(total < uniforms[i, r, len(row)] for total in p.cumsum(0)))
            padded = row + [end] * (rollouts.shape[-1] - len(row))
            assert rollouts[i, r].tolist() == padded


def test_network_without_a_cache_writes_the_same():
    task, policy, batch = made()
    rollouts, uniforms = rollouts_of(task, policy, batch)
    cacheless = Network.functional(policy, dict(policy.named_parameters()), dict(policy.named_buffers()))
    assert not hasattr(cacheless.body, "cache")
    again = task.rollouts(cacheless.body, cacheless.head, batch["x"], batch["prompt_lengths"], uniforms)
    assert torch.equal(rollouts, again)


def test_mixed_precision_keeps_the_cache():
    _, policy, _ = made()
    assert hasattr(Network.of(policy).under_autocast("cpu", torch.bfloat16).body, "cache")


def test_mask_logps_and_rewards():
    """Against loops over the single completions: the mask has what the policy chose, the end token included."""
    task, policy, batch = made(temperature=0.7, completions=12)
    rollouts, _ = rollouts_of(task, policy, batch)
    mask = task.mask(rollouts, batch["prompt_lengths"])
    logits = task.logits(policy.head, task.features(policy.body, rollouts)).detach()
    logps, entropies = task.token_logps(logits, rollouts, mask), task.token_entropies(logits)
    rewards = task.rewards(rollouts, batch["prompt_lengths"], batch["answers"])
    lengths = task.completion_lengths(mask)
    seen = set()
    for i, start in enumerate(batch["prompt_lengths"].tolist()):
        for r in range(12):
            row, place = rollouts[i, r].tolist(), 12 * i + r
            completion = row[start : start + task._most]
            n = completion.index(task._end) + 1 if task._end in completion else task._most
            seen.add(task._end in completion)
            assert mask[place].nonzero().flatten().tolist() == list(range(start - 1, start - 1 + n))
            assert lengths[i, r] == n
            log_p = (policy(torch.tensor([row[:-1]]))[0] / 0.7).log_softmax(-1).detach()
            for t in range(len(row) - 1):
                expected = log_p[t, row[t + 1]] if mask[place, t] else torch.zeros(())
                assert math.isclose(logps[place, t], expected, rel_tol=1e-9, abs_tol=1e-12)
                assert math.isclose(entropies[place, t], -(log_p[t].exp() * log_p[t]).sum(), rel_tol=1e-9)
            prompt = row[: start - 1]
            assert rewards[i, r] == float(completion[:n] == [*sorted(prompt), task._end])
    assert seen == {True, False}  # some were cut off


def test_ratios_are_1_before_the_first_step_and_advantages_are_those_of_the_rewards():
    task, policy, batch = made()
    rollouts, _ = rollouts_of(task, policy, batch)
    mask = task.mask(rollouts, batch["prompt_lengths"])
    logps = task.token_logps(task.logits(policy.head, task.features(policy.body, rollouts)), rollouts, mask)
    assert torch.equal(task.old_token_logps(task.rollout_logps(logps)), logps)
    given = torch.randn(5, 3)
    spread = task.advantages(given, mask)
    assert spread.shape == mask.shape and all(
        torch.equal(spread[3 * i + r], given[i, r].expand(mask.shape[1])) for i in range(5) for r in range(3)
    )


def test_kl_of_samples_is_the_kl_of_completions():
    """Its mean over many samples, against the mean of the log-ratios of whole completions: the same number, with less
    variance; both within five standard errors."""
    task, policy, batch = made(samples=400)
    one = {name: values[:1] for name, values in batch.items()}
    with torch.no_grad():
        samples = task.samples(policy.body, policy.head, one["x"], one["prompt_lengths"], one["ids"])
        mask = task.sample_mask(samples, one["prompt_lengths"])
        logits = task.sample_logits(policy.body, policy.head, samples)
        kl = task.sample_kl(logits, samples, mask)[0]
        targets = samples[0, :, 1:].unsqueeze(-1)
        own, ref = (
            torch.where(mask[0], values.log_softmax(-1).gather(-1, targets).squeeze(-1), 0).sum(-1)
            for values in (logits, task._ref_logits(samples))
        )
    ratios = own - ref
    error = ((kl.var() + ratios.var()) / 400).sqrt()
    assert kl.var() < ratios.var() and abs(kl.mean() - ratios.mean()) < 5 * error
    assert task.sample_kl(task._ref_logits(samples), samples, mask).abs().max() < 1e-12


REFERENCE = ("task.reference={train:{task:language_modeling,variant:[completions],loss:cross_entropy,budget.epochs:4,"
             "optimizer.lr:0.01,model:gpt,model.depth:1,model.width:16,model.heads:2}}")  # fmt: skip


def test_a_run_learns_to_sort(tmp_path):
    """Of the samples that it starts from, half are in order; after 40 steps nearly all of its completions are."""
    data = ("dataset.num_samples=6000", "dataset.num_symbols=5", "dataset.shortest=3", "dataset.longest=3")
    one = prepared(tmp_path, *SMALL, *data, "budget.steps=40", "batch_size=16", "optimizer.lr=0.003", REFERENCE)
    run.execute(one)
    best = one.record["best"]
    assert best["test/start_reward"] < 0.7 and best["test/reward"] > 0.85
    assert best["test/pass_at_1"] == best["test/reward"] <= best["test/pass_at_4"] <= 1
    expected = {"train/clipped_fraction", "train/old_kl", "validation/pass_at_4", "validation/kl", "validation/length"}
    assert expected <= records.rows(one.folder)[0].keys()


STEPS = (*SMALL, "task.parts=2", "task.passes=2")


def built(folder, *overrides):
    one = prepared(folder, *overrides)
    for before in one.prerequisites:
        run.execute(before)
    return trainer(folder, *overrides)


def test_a_batch_of_samples_serves_several_steps(tmp_path):
    """Two parts, gone over twice: each prompt of a batch is in two of its four steps, with one set of samples."""
    made = built(tmp_path, *STEPS)
    seen = []
    step = made._train_step

    def noting(batch, total):
        seen.append({name: value.clone() for name, value in batch.items()})
        step(batch, total)

    made._train_step = noting
    made.fit()
    assert len(seen) == 6 and all(len(batch["x"]) == 8 for batch in seen)
    for first in (0, 4):
        whole = [batch["ids"].tolist() for batch in seen[first : first + 4]]
        assert len({*whole[0], *whole[1]}) == 16
        if first == 0:
            assert sorted(whole[0] + whole[1]) == sorted(whole[2] + whole[3]) and whole[0] != whole[2]
    samples = {}
    for batch in seen[:4]:
        for i, rollout, old in zip(batch["ids"].tolist(), batch["rollouts"], batch["rollout_logps"], strict=True):
            assert torch.equal(samples.setdefault((i, "tokens"), rollout), rollout)
            assert torch.equal(samples.setdefault((i, "old"), old), old)
    assert made.source.steps_per_epoch == 320 // 16 * 4 and made.last_row["epoch"] == 6 / 80


@pytest.mark.parametrize("stop_at", [2, 3, 4])
def test_resumed_within_a_batch_of_samples_and_between_two(stop_at, tmp_path):
    """Bit for bit: what was sampled is in the checkpoint."""
    whole = built(tmp_path, *STEPS)
    whole.fit()
    asked = iter(range(1, 100))
    first = trainer(tmp_path, *STEPS, stop=lambda: next(asked) == stop_at)
    with pytest.raises(Interrupted):
        first.fit()
    second = trainer(tmp_path, *STEPS)
    second.fit(checkpoint.latest(tmp_path, "test", print))
    assert identical(weights(whole.model), weights(second.model)) and whole.last_row.keys() == second.last_row.keys()
    assert {**whole.last_row, "seconds": 0} == {**second.last_row, "seconds": 0}


def test_gradients_of_micro_batches_are_those_of_the_batch(tmp_path):
    parts = [built(tmp_path, *SMALL, f"accumulation={n}") for n in (1, 4)]
    for made in parts:
        made.fit()
    for one, four in zip(*(weights(made.model) for made in parts), strict=True):
        torch.testing.assert_close(one, four, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((*SMALL, "task.completions=0"), r"task\.completions"),
        ((*SMALL, "task.passes=0"), r"task\.passes"),
        ((*SMALL, "task.parts=100"), r"batch_size=8 times task\.parts=100 is larger than the training set"),
        ((*SMALL[:-1], "loss=cross_entropy"), "needs the tensor 'targets'"),
        (("dataset=digits", "advantage=leave_one_out"), "'leave_one_out' needs the tensor 'completion_advantages'"),
        ((*SMALL, "task.completions=1", "advantage=leave_one_out"), r"task\.completions >= 2"),
    ],
)
def test_wrong_input(overrides, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        one = prepared(tmp_path, *overrides)
        for before in one.prerequisites:
            run.execute(before)
        trainer(tmp_path, *overrides).fit()


def test_prompts_of_one_length_without_a_cache_of_the_end():
    """A row that ends early is filled up with the end token, whatever the others do."""
    logits = torch.tensor([[0.0, 0.0, 40.0]])  # always the end
    tokens = completed(
        lambda x: x.unsqueeze(-1).double(),
        lambda features: logits.expand(len(features), -1),
        torch.tensor([[0, 1], [1, 2]]),
        torch.tensor([2, 1]),
        torch.full((2, 5), 0.5),
        end=2,
        most=3,
    )
    assert tokens.tolist() == [[0, 1, 2, 2, 2], [1, 2, 2, 2, 2]]


def test_data_without_a_verifier():
    with pytest.raises(UsageError, match="needs prompts with a verifier"):
        Rlvr.shapes(digits(generator=torch.Generator().manual_seed(0)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_on_a_gpu(precision, tmp_path):
    one = prepared(tmp_path, *STEPS, "device=cuda", f"precision={precision}")
    run.execute(one)
    assert one.record["status"] == "completed" and 0 <= one.record["best"]["test/reward"] <= 1
