"""Language models with a teacher: what losses and metrics see, on the data and on the student's own tokens."""

import json

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from lossbench.cli import main
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.losses.distillation.reverse_kl_distillation import reverse_kl_distillation
from lossbench.models.gpt import gpt
from lossbench.objective import Network, Objective
from lossbench.reductions.mean import mean
from lossbench.tasks.language_distillation import LanguageDistillation
from lossbench.tasks.on_policy_distillation import OnPolicyDistillation
from tests.models.support import built

TOKENS, LENGTH = 5, 6


def model(tokens=TOKENS, length=LENGTH, seed=0):
    made = built(lambda: gpt(input_shape=(length,), num_outputs=tokens, depth=1, width=8, heads=1), seed=seed)
    with torch.no_grad():
        made.head.weight.mul_(10)  # far from even
    return made


def dataset(**labels):
    x = torch.arange(8 * LENGTH).reshape(8, LENGTH) % TOKENS
    split = Split(x, {"targets": (x + 1) % TOKENS, **labels})
    return Dataset(split, split, split, num_outputs=TOKENS)


def batch():
    split = dataset().train
    return {"x": split.inputs, "targets": split.labels["targets"], "ids": torch.arange(8)}


def test_loss_and_metrics_see_the_teacher():
    teacher, student = model(seed=1), model()
    task = LanguageDistillation(dataset(), torch.device("cpu"), teacher=teacher, softcap=3.0)
    objective = Objective(reverse_kl_distillation, task, mean)
    q, p = (Categorical(logits=3 * (m(batch()["x"]) / 3).tanh()) for m in (student, teacher))
    value = objective(Network.of(student), batch(), {}, {}).loss
    torch.testing.assert_close(value, kl_divergence(q, p).mean())
    observed = objective.observer(objective.observable(("x", "targets", "ids")))(Network.of(student), batch())
    metrics = task.metrics(**observed)
    torch.testing.assert_close(metrics["teacher_reverse_divergence"], kl_divergence(q, p).double().mean())
    torch.testing.assert_close(metrics["teacher_divergence"], kl_divergence(p, q).double().mean())
    same = (q.probs.argmax(-1) == p.probs.argmax(-1)).double().mean()
    torch.testing.assert_close(metrics["teacher_agreement"], same)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters())


def test_refused():
    with pytest.raises(UsageError, match=r"task\.teacher knows 7 tokens.*has 5"):
        LanguageDistillation(dataset(), torch.device("cpu"), teacher=model(tokens=7))
    with pytest.raises(UsageError, match=r"task\.teacher cannot read \[6\] tokens"):
        LanguageDistillation(dataset(), torch.device("cpu"), teacher=model(length=4))
    with pytest.raises(UsageError, match=r"without a mask"):
        masked = dataset(mask=torch.ones(8, LENGTH, dtype=torch.bool))
        OnPolicyDistillation(masked, torch.device("cpu"), teacher=model())
    with pytest.raises(UsageError, match=r"task\.prompt=7"):
        OnPolicyDistillation(dataset(), torch.device("cpu"), teacher=model(), prompt=7)


def test_rollouts_are_the_students():
    """Prompts stay, and the tokens behind them are drawn as the student says: 40,000 continuations of a prompt against
    the student's probabilities, of the first and of the second token; with the cache and without it the same."""
    student, task = model(), OnPolicyDistillation(dataset(), torch.device("cpu"), teacher=model(seed=1), prompt=2)
    x = batch()["x"][:1].expand(40_000, -1)
    uniforms = task.sampling_uniforms(x, torch.Generator().manual_seed(0))
    made = task.rollouts(student.body, student.head, x, uniforms)
    assert made.shape == x.shape and torch.equal(made[:, :2], x[:, :2])
    with torch.no_grad():
        first = student(x[:1, :2])[0, -1].softmax(-1)
        torch.testing.assert_close(torch.bincount(made[:, 2], minlength=TOKENS) / 40_000, first, atol=0.01, rtol=0)
        likeliest = int(first.argmax())
        after = made[made[:, 2] == likeliest]
        second = student(after[:1, :3])[0, -1].softmax(-1)
        found = torch.bincount(after[:, 3], minlength=TOKENS) / len(after)
        torch.testing.assert_close(found, second, atol=0.02, rtol=0)
        few = slice(0, 50)
        read_again = task.rollouts(lambda tokens: student.body(tokens), student.head, x[few], uniforms[few])
    assert torch.equal(read_again, made[few])


def test_on_policy_objective():
    """The loss is that of the written tokens, with the mask; the metrics are those of the other task on the data."""
    student, teacher = model(), model(seed=1)
    task = OnPolicyDistillation(dataset(), torch.device("cpu"), teacher=teacher, prompt=3)
    objective = Objective(reverse_kl_distillation, task, mean)
    drawn = objective.draw(batch(), {"sampling_uniforms": torch.Generator().manual_seed(1)})
    rollouts = task.rollouts(student.body, student.head, drawn["x"], drawn["sampling_uniforms"])
    assert not torch.equal(rollouts, drawn["x"])
    q, p = (Categorical(logits=m(rollouts)) for m in (student, teacher))
    value = objective(Network.of(student), drawn, {}, {}).loss
    torch.testing.assert_close(value, kl_divergence(q, p)[:, 2:].mean())
    value.backward()
    assert student.body.embedding.weight.grad.abs().max() > 0

    other = LanguageDistillation(dataset(), torch.device("cpu"), teacher=teacher)
    found = []
    for each in (task, other):
        own = Objective(reverse_kl_distillation, each, mean)
        names = own.observable(("x", "targets", "ids"))
        found.append(each.metrics(**own.observer(names)(Network.of(student), batch())))
    assert found[0].keys() == found[1].keys()
    for name, expected in found[1].items():
        torch.testing.assert_close(found[0][name], expected, equal_nan=True)


SMALL = ["dataset=shakespeare", "dataset.block_length=16", "model=gpt", "model.depth=1", "model.width=16",
         "model.heads=1", "batch_size=32", "optimizer.lr=0.01", "device=cpu"]  # fmt: skip
TEACHER = "{train: {model: gpt, model.depth: 1, model.width: 16, model.heads: 1, dataset: shakespeare, " \
          "dataset.block_length: 16, batch_size: 32, optimizer.lr: 0.01, budget.steps: 40}}"  # fmt: skip


@pytest.mark.parametrize(
    ("task", "loss"), [("language_distillation", "distillation"), ("on_policy_distillation", "reverse_kl_distillation")]
)
def test_run(task, loss, tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_OUTPUTS", str(tmp_path))
    more = [f"task.start={TEACHER}"] if task == "on_policy_distillation" else []
    with pytest.raises(SystemExit) as left:
        main(["train", *SMALL, f"task={task}", f"loss={loss}", f"task.teacher={TEACHER}", *more, "budget.steps=20",
              "evaluation.steps=20"])  # fmt: skip
    assert left.value.code == 0
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/**/record.json")]
    own = next(record["best"] for record in records if record["choices"]["task"] == task)
    assert own["test/teacher_divergence"] >= 0 and own["test/nll"] > 1
    if more:  # the student starts as the teacher, and has nothing to learn from it
        assert own["test/teacher_agreement"] > 0.95 and own["test/teacher_reverse_divergence"] < 0.02
