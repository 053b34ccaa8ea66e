"""The task in runs: what the loss gets, units, both engines, micro-batches, evaluation, and what is refused."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import Generator

from lossbench.datasets.digits import digits
from lossbench.errors import UsageError
from lossbench.losses.classification.center import center
from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.trades import trades
from lossbench.objective import Network, Objective
from lossbench.tasks.adversarial_classification import AdversarialClassification
from tests.engine import identical, parts, prepared, trainer, weights
from tests.losses.support import near
from tests.vectorized.support import assert_stack_equals_singles, variants

DATA = digits(generator=Generator().manual_seed(0))
CPU = torch.device("cpu")
TASK = "task=adversarial_classification"
SHORT = (TASK, "budget.steps=4", "evaluation.steps=4", "batch_size=32", "task.steps=3", "task.evaluation_steps=3")


def batch(n=32):
    train = DATA.train.select(torch.arange(n))
    x = (train.inputs - DATA.mean) / DATA.std
    return {"x": x, "targets": train.labels["targets"], "ids": torch.arange(n)}


def objective(loss=cross_entropy, **options):
    task = AdversarialClassification(DATA, CPU, **options)
    return Objective(loss, task, lambda values, mask=None: (values.sum(), len(values)))


def model(tmp_path):
    return parts(tmp_path, TASK)["model"].train()


def value(loss, network, drawn, **options):
    made = objective(loss, **options)
    return made(network, drawn if made.draws else batch(), {}, {}).loss


def drawn_batch():
    made = objective()
    return made.draw(batch(), {"attack_start": Generator().manual_seed(0)})


def test_what_the_loss_gets(tmp_path):
    network, drawn = Network.of(model(tmp_path)), drawn_batch()
    task = AdversarialClassification(DATA, CPU)
    moved = task.adversarial_x(network.forward, drawn["x"], drawn["targets"], drawn["attack_start"])
    clean, attacked = network.forward(drawn["x"]), network.forward(moved)
    near(value(cross_entropy, network, drawn), cross_entropy(attacked, drawn["targets"]).mean(), 1e-5)
    near(value(cross_entropy, network, drawn, train_on="clean"), cross_entropy(clean, drawn["targets"]).mean(), 1e-5)
    terms = trades(clean, attacked, drawn["targets"])
    expected = (terms["cross_entropy"] + terms["robust"]).mean()
    for train_on in ("adversarial", "clean"):  # a loss that names both gets both
        near(value(trades, network, drawn, train_on=train_on), expected, 1e-5)
    assert not objective(train_on="clean").draws  # nothing is attacked that nobody asks for


def test_gradient_is_that_of_fixed_inputs(tmp_path):
    made, drawn = model(tmp_path), drawn_batch()
    network = Network.of(made)
    value(trades, network, drawn).backward()
    found = [p.grad.clone() for p in made.parameters()]
    task = AdversarialClassification(DATA, CPU)
    moved = task.adversarial_x(network.forward, drawn["x"], drawn["targets"], drawn["attack_start"]).detach()
    terms = trades(made(drawn["x"]), made(moved), drawn["targets"])
    expected = torch.autograd.grad((terms["cross_entropy"] + terms["robust"]).mean(), list(made.parameters()))
    for one, other in zip(found, expected, strict=True):
        near(one, other, 1e-5)


def test_attack_loss(tmp_path):
    # An attack on what TRADES adds makes its divergence larger than one on the cross-entropy, and the other way round.
    network, drawn = Network.of(model(tmp_path)), drawn_batch()
    clean = network.forward(drawn["x"])
    found = {}
    for name, loss in (("cross_entropy", cross_entropy), ("trades", partial(trades, weight=2.0))):
        task = AdversarialClassification(DATA, CPU, attack_loss=loss)
        moved = task.adversarial_x(network.forward, drawn["x"], drawn["targets"], drawn["attack_start"])
        terms = trades(clean, network.forward(moved), drawn["targets"])
        found[name] = terms["robust"].mean(), cross_entropy(network.forward(moved), drawn["targets"]).mean()
    assert found["trades"][0] > found["cross_entropy"][0]
    assert found["cross_entropy"][1] > found["trades"][1]


@pytest.mark.parametrize("norm", ["l_inf", "l_2"])
def test_units(tmp_path, norm):  # digits go from 0 to 16, so a radius of 0.1 is 1.6 of a pixel, or of their norm
    network, drawn = Network.of(model(tmp_path)), drawn_batch()
    task = AdversarialClassification(DATA, CPU, norm=norm, radius=0.1)
    start = task.attack_start(drawn["x"], Generator().manual_seed(0))
    moved = task.adversarial_x(network.forward, drawn["x"], drawn["targets"], start)
    before, after = (tensor * DATA.std + DATA.mean for tensor in (drawn["x"], moved))
    assert after.min() >= -1e-4 and after.max() <= 16 + 1e-4
    difference = (after - before).flatten(1)
    size = difference.abs().amax(1) if norm == "l_inf" else difference.norm(dim=1)
    assert size.max() <= 1.6 + 1e-4
    # 10 steps of a quarter of the radius reach its border from every start; the range then shortens some of them.
    assert size.min() > 1.2 and size.max() > 1.55
    if norm == "l_inf":
        near(size.max(), 1.6, 1e-4)


def test_units_of_bytes_and_of_rows():
    images = dataclasses.replace(
        DATA,
        train=dataclasses.replace(DATA.train, inputs=torch.zeros(5, 3, 4, 4, dtype=torch.uint8)),
        mean=torch.tensor([100.0, 120.0, 140.0]),
        std=torch.tensor([50.0, 60.0, 70.0]),
        value_range=None,
    )
    ball = AdversarialClassification(images, CPU)._ball
    near(ball.unit.flatten(), [255 / 50, 255 / 60, 255 / 70], 1e-6)
    near(ball.low.flatten(), [-2.0] * 3, 1e-6)
    near(ball.high.flatten(), [155 / 50, 135 / 60, 115 / 70], 1e-6)
    assert ball.unit.shape == (3, 1, 1)
    rows = dataclasses.replace(DATA, value_range=None)  # no range: standard deviations, nothing is clipped
    ball = AdversarialClassification(rows, CPU)._ball
    assert (ball.unit, ball.low, ball.high) == (1.0, None, None)


def test_fast_gradient_sign(tmp_path):  # one step of the radius from the input
    network, drawn = Network.of(model(tmp_path)), batch()
    task = AdversarialClassification(DATA, CPU, steps=1, step_size=1.0, random_start=False, radius=0.05)
    start = task.attack_start(drawn["x"], Generator())
    x = drawn["x"].clone().requires_grad_()
    (g,) = torch.autograd.grad(cross_entropy(network.forward(x), drawn["targets"]).sum(), x)
    expected = (drawn["x"] + 0.05 * 16 / DATA.std * g.sign()) * DATA.std + DATA.mean
    expected = (expected.clamp(0, 16) - DATA.mean) / DATA.std
    near(task.adversarial_x(network.forward, drawn["x"], drawn["targets"], start), expected, 1e-5)


def test_ordinary_training_is_the_same_run(tmp_path):  # train_on=clean only adds what is measured
    common = ("budget.steps=8", "evaluation.steps=4", "batch_size=32", "selection.metric=accuracy")
    plain, attacked = trainer(tmp_path / "a", *common), trainer(tmp_path / "b", *common, TASK, "task.train_on=clean")
    first, second = plain.fit(), attacked.fit()
    assert identical(weights(plain.model), weights(attacked.model))
    for name, number in first.best.items():
        if name != "seconds":
            assert second.best[name] == number or number != number, name
    robust = {name.removeprefix("validation/") for name in second.best} - {
        n.removeprefix("validation/") for n in first.best
    }
    assert {"robust_accuracy", "worst_class_robust_accuracy", "tail_robust_accuracy", "robust_margin"} <= robust
    assert 0 < second.best["test/robust_accuracy"] <= second.best["test/accuracy"]
    assert second.best["test/worst_class_robust_accuracy"] <= second.best["test/tail_robust_accuracy"]
    assert second.best["test/robust_margin"] < second.best["test/margin"]


def test_evaluation_is_deterministic_and_gets_worse_with_the_radius(tmp_path):
    found = []
    for radius in ("0.05", "0.05", "0.2"):
        made = trainer(tmp_path, *SHORT, "budget.steps=20", "task.train_on=clean", f"task.evaluation_radius={radius}")
        found.append(made.fit().best["test/robust_accuracy"])
    assert found[0] == found[1] > found[2]


def test_evaluation_radius():  # is that of the ball, whatever the steps, and that of training where it is not given
    for given, expected in ((None, 0.1), (0.02, 0.02)):
        task = AdversarialClassification(DATA, CPU, radius=0.1, evaluation_radius=given, evaluation_step_size=50.0)
        seen = []

        def forward(x, seen=seen):
            seen.append(x.detach())
            return x.flatten(1)[:, :10]

        task.attacked_logits(forward, batch()["x"], batch()["targets"])
        furthest = max((x - batch()["x"]).abs().max() for x in seen) * DATA.std / 16
        near(furthest, expected, 1e-5)


def test_micro_batches(tmp_path):  # add up to the whole batch: the start of the attack is drawn once for all of it
    runs = [trainer(tmp_path / str(n), *SHORT, f"accumulation={n}", "model.activation=tanh") for n in (1, 4)]
    for made in runs:
        made.fit()
    for one, other in zip(*(weights(made.model) for made in runs), strict=True):
        near(one, other, 1e-4)


def test_resumed_starts(tmp_path):  # two runs of one seed draw the same starts, another seed others
    runs = [trainer(tmp_path / str(n), *SHORT, f"seed={n // 2}") for n in range(3)]
    for made in runs:
        made.fit()
    assert identical(weights(runs[0].model), weights(runs[1].model))
    assert not identical(weights(runs[0].model), weights(runs[2].model))


def test_adversarial_training_helps(tmp_path):
    common = ("budget.epochs=12", "evaluation.epochs=12", "batch_size=64", "task.steps=4", "task.radius=0.15")
    robust = [
        trainer(tmp_path / how, TASK, *common, f"task.train_on={how}").fit().best["test/robust_accuracy"]
        for how in ("clean", "adversarial")
    ]
    assert robust[1] > robust[0] + 0.05


@pytest.mark.parametrize(
    ("losses", "overrides"),
    [
        (("cross_entropy", "trades", "sovr"), ()),
        (("cross_entropy",), ("model=convnet", "model.widths=[8]", "model.norm=batch")),
        (("trades",), ("model=convnet", "model.widths=[8]", "model.norm=batch")),
    ],
)
def test_stacks(tmp_path, losses, overrides):  # of several losses and seeds: the same as each run by itself
    runs = []
    for loss in losses:
        # The sign of a gradient near 0 may differ: the smooth step of l_2 is compared.
        chosen = (*SHORT, "budget.steps=6", "evaluation.steps=3", "task.norm=l_2", f"loss={loss}", *overrides)
        runs += variants(tmp_path, chosen, [{"seed": 0}, {"seed": 1}, {"optimizer.lr": 0.01}])
    assert_stack_equals_singles(tmp_path, runs, 1e-3)


def test_stack_of_ordinary_runs(tmp_path):
    runs = variants(tmp_path, (*SHORT, "task.train_on=clean"), [{"seed": 0}, {"seed": 1}])
    assert_stack_equals_singles(tmp_path, runs, 1e-4)


def test_refusals(tmp_path):
    with pytest.raises(UsageError, match="names 'features'"):
        AdversarialClassification(DATA, CPU, attack_loss=center)
    with pytest.raises(UsageError, match="moved inputs"):
        AdversarialClassification(DATA, CPU, attack_loss=lambda clean_logits, targets: clean_logits.sum())
    for wrong, key in (("radius=0", "task.radius"), ("norm=l_1", "task.norm"), ("steps=0", "task.steps")):
        with pytest.raises(UsageError, match=key):
            prepared(tmp_path, TASK, f"task.{wrong}")
    with pytest.raises(UsageError, match="adversarial_classification"):  # the error says where the words are
        parts(tmp_path, "loss=trades")


def test_the_objective_of_the_attack_is_a_config(tmp_path):
    made = parts(tmp_path, TASK, "loss=score", "loss@task.attack_loss=score", "task.attack_loss.weight=4")
    attack_loss = made["objective"].task._attack_loss
    assert attack_loss.func.__name__ == "score" and attack_loss.keywords == {"weight": 4}
