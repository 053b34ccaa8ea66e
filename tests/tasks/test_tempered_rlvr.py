import torch
from torch import nn

from lossbench import run
from lossbench.datasets.sorting_prompts import sorting_prompts
from lossbench.models.gpt import gpt
from lossbench.tasks.rlvr import Rlvr
from lossbench.tasks.tempered_rlvr import TemperedRlvr
from tests.engine import identical, prepared, trainer, weights
from tests.losses.support import near

SMALL = ("dataset=sorting_prompts", "dataset.num_samples=6000", "dataset.num_symbols=5", "dataset.longest=3",
         "model.depth=1",
         "model.width=16", "model.heads=2", "batch_size=8", "budget.steps=4", "evaluation.steps=4", "task.parts=2",
         "checkpoint.seconds=null", "task.completions=4", "task.samples=4", "loss=clipped_policy_gradient",
         "reduction=token_mean")  # fmt: skip


def made(kind=TemperedRlvr, **options):
    """(task, a policy, a batch of five prompts) in float64."""
    dataset = sorting_prompts(generator=torch.Generator().manual_seed(0), num_examples=60, num_samples=1)
    (length,), tokens = Rlvr.shapes(dataset)
    torch.manual_seed(0)
    policy = gpt(input_shape=(length,), num_outputs=tokens, depth=1, width=16, heads=2).double().eval()
    nn.init.normal_(policy.head.weight)  # far from uniform
    task = kind(dataset, torch.device("cpu"), reference=policy, **{"completions": 4, **options})
    batch = {name: values[:5] for name, values in dataset.train.labels.items()}
    return task, policy, {"x": dataset.train.inputs[:5], **batch}


def uniforms_of(task, batch, seed):
    return task.sampling_uniforms(batch["x"], torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_entropy_of_own_completions():
    """Against a loop over the tokens of each."""
    task, policy, batch = made()
    lengths = batch["prompt_lengths"]
    own = task.own_rollouts(policy.body, policy.head, batch["x"], lengths, uniforms_of(task, batch, 0))
    found = []
    for b, length in enumerate(lengths.tolist()):
        for row in own[b]:
            p = policy(row[:-1].unsqueeze(0))[0].softmax(-1)
            for place in range(length, length + task._most):
                found.append(-(p[place - 1] * p[place - 1].log()).sum().item())
                if row[place] == task._end:
                    break
    near(task.own_entropy(policy.body, policy.head, own, lengths), sum(found) / len(found))


@torch.no_grad()
def test_temperature_of_the_others():
    """That of a task rlvr whose own temperature is as many times as high; a target of just the entropy raises it."""
    task, policy, batch = made(target=0.5, hotter=2.0, colder=0.7, temperature=1.5)
    given = policy.body, policy.head, batch["x"], batch["prompt_lengths"], uniforms_of(task, batch, 1)
    for entropy, temperature in ((0.2, 3.0), (0.5, 3.0), (0.6, 1.05)):
        plain, _, _ = made(Rlvr, temperature=temperature)
        found = task.tempered_rollouts(*given, torch.tensor(entropy, dtype=torch.float64))
        assert torch.equal(found, plain.rollouts(*given))
    other, _, _ = made(Rlvr)
    assert not torch.equal(found, other.rollouts(*given))


def test_replaced():
    """Prompt by prompt: right ones where not all are right, the first of them, half as many above the target."""
    rewards = torch.tensor([[1.0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 1]])
    for share, entropy, number in ((1.0, 0.1, 6), (1.0, 0.9, 3), (0.2, 0.5, 4), (0.2, 0.6, 2), (0.0, 0.1, 0)):
        task, _, _ = made(target=0.5, share=share)
        found = task.replaced(rewards, torch.tensor(entropy))
        allowed = [(b, r) for b in (1, 3, 4) for r in range(4) if rewards[b, r] == 1]
        assert found.nonzero().tolist() == [list(place) for place in allowed[:number]]
    # 1 / 400 below the best over a deviation of 1 / 20: hardly better than usual. With two wrong ones it is 0.07
    task, _, _ = made(completions=400, share=1.0)
    for wrong, number in ((1, 0), (2, 398)):
        rewards = torch.cat([torch.ones(1, 400 - wrong), torch.zeros(1, wrong)], 1)
        assert task.replaced(rewards, torch.tensor(0.1)).sum() == number


def test_completions_and_advantages():
    """Replaced ones have the tokens of the others and an advantage of 1, the rest those among their own."""
    task, _, batch = made()
    own = torch.randint(9, (5, 4, 12))
    others = own + 100
    replaced = torch.zeros(5, 4, dtype=torch.bool)
    replaced[1, 2] = replaced[4, 0] = True
    mixed = task.rollouts(own, others, replaced)
    for b in range(5):
        for r in range(4):
            assert torch.equal(mixed[b, r], (others if replaced[b, r] else own)[b, r])
    advantages = torch.randn(5, 4)
    mask = torch.ones(20, 11, dtype=torch.bool)
    found = task.advantages(advantages, replaced, mask).view(5, 4, 11)
    near(found[~replaced], advantages[~replaced].unsqueeze(-1).expand(-1, 11), 1e-7)
    near(found[replaced], 1.0)
    near(task.rewards(own, batch["prompt_lengths"], batch["answers"]), 0.0)


def test_without_a_share_it_is_rlvr(tmp_path):
    found = []
    for name, more in (("rlvr", ()), ("tempered_rlvr", ("task.share=0",)), ("tempered_rlvr", ("task.share=1",))):
        given = (*SMALL, f"task={name}", "optimizer.lr=0.01", *more)
        for before in prepared(tmp_path, *given).prerequisites:
            run.execute(before)
        one = trainer(tmp_path, *given)
        one.fit()
        found.append(weights(one.model))
    plain, none, all_of_them = found
    assert identical(plain, none) and not identical(plain, all_of_them)


def test_entropy_error(tmp_path):
    one = prepared(tmp_path, *SMALL, "task=tempered_rlvr", "task.target=0.8")
    run.execute(one)
    best = one.record["best"]
    near(torch.tensor(best["test/entropy_error"]), abs(best["test/entropy"] - 0.8) / 0.8, 1e-6)
