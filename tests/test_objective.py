"""The objective: what is resolved, what is computed, how terms, masks, mixtures, state and streams go together."""

from functools import partial

import pytest
import torch
from torch import Generator, nn
from torch.func import vmap
from torch.nn import functional as F

from lossbench import seeds, vocabulary
from lossbench.augmentations.mixup import mixup
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.losses.classification.brier import brier
from lossbench.losses.classification.center import center
from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.early_learning import early_learning
from lossbench.losses.classification.focal import focal
from lossbench.losses.classification.polyloss import polyloss
from lossbench.losses.classification.squentropy import squentropy
from lossbench.losses.classification.virtual_adversarial import virtual_adversarial
from lossbench.losses.distillation.distillation import distillation
from lossbench.losses.multilabel.any_loss import any_loss
from lossbench.losses.multilabel.asymmetric import asymmetric
from lossbench.losses.multilabel.binary_cross_entropy import binary_cross_entropy
from lossbench.losses.regression.mean_squared_error import mean_squared_error
from lossbench.models.convnet import convnet
from lossbench.models.mlp import mlp
from lossbench.models.resnet18 import resnet18
from lossbench.objective import Facts, Network, Objective, adds_over_micro_batches
from lossbench.reductions.cvar import cvar
from lossbench.reductions.mean import mean
from lossbench.reductions.sequence_mean import sequence_mean
from lossbench.reductions.sum import sum as total_sum
from lossbench.reductions.token_mean import token_mean
from lossbench.regularizers.confidence_penalty import confidence_penalty
from lossbench.regularizers.l2_norm import l2_norm
from lossbench.tasks.classification import Classification
from lossbench.tasks.distillation import Distillation
from lossbench.tasks.multilabel import Multilabel
from lossbench.tasks.regression import Regression

CPU = torch.device("cpu")
B, X, C, D = 6, 8, 5, 4


def data(shape: tuple[int, ...] = (X,)) -> Dataset:
    draw = Generator().manual_seed(0)
    split = Split(torch.randn(11, *shape, generator=draw), {"targets": torch.randint(C, (11,), generator=draw)})
    return Dataset(split, split, split, C)


def model(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return mlp(input_shape=(X,), num_outputs=C, widths=[7, D], dropout=dropout)


def batch(n: int = B) -> dict[str, torch.Tensor]:
    whole = data().train
    return {"x": whole.inputs[:n], "targets": whole.labels["targets"][:n], "ids": torch.arange(n)}


def objective(loss, *regularizers, reduction=mean, task=None, names=None) -> Objective:
    return Objective(loss, task or Classification(data(), CPU), reduction, regularizers, names)


# --- resolution --------------------------------------------------------------------------------------------------


def test_missing_tensor_names_loss_tensor_task_and_who_has_it():
    with pytest.raises(UsageError) as error:
        objective(distillation)
    needs = "'distillation' needs the tensor 'teacher_logits', which task 'classification' does not provide. "
    assert str(error.value).startswith(f"{needs}Use task=distillation")
    with pytest.raises(UsageError, match=r"'mean_squared_error' needs .*'predictions'.* Use .*task=regression"):
        objective(mean_squared_error)
    with pytest.raises(UsageError, match=r"'brier' needs the tensor 'logits', which task 'regression' does not"):
        objective(brier, task=Regression(data(), CPU))


def test_missing_tensor_of_a_regularizer_names_the_regularizer():
    with pytest.raises(UsageError, match="'confidence_penalty' needs the tensor 'logits'"):
        objective(mean_squared_error, confidence_penalty, task=Regression(data(), CPU))


def nowhere(logits, rainbow):
    return logits.sum(-1) + rainbow


def test_tensor_that_no_task_has():
    with pytest.raises(UsageError, match=r"'rainbow', which task 'classification' does not provide\. Choose"):
        objective(nowhere)


def test_batch_of_the_data_set_decides():
    """A task may promise targets; where the batches have none, it is said before step 0."""
    with pytest.raises(UsageError, match="'cross_entropy' needs the tensor 'targets'"):
        objective(cross_entropy, names=("x", "ids"))


def counted(network: Network) -> tuple[Network, list[str]]:
    calls: list[str] = []

    def count(name: str):
        function = getattr(network, name)

        def call(inputs):
            calls.append(name)
            return function(inputs)

        return call

    return network._replace(body=count("body"), head=count("head"), forward=count("forward")), calls


def of_parameters(model_parameters):
    return torch.stack([p.square().sum() for p in model_parameters.values()]).sum()


def of_features(features):
    return features.square().sum(-1)


def test_only_what_is_named_is_computed():
    for loss, regularizers, expected in (
        (cross_entropy, (), ["body", "head"]),
        (center, (confidence_penalty, l2_norm), ["body", "head"]),  # once, however many name it
        (of_features, (), ["body"]),
        (of_parameters, (), []),
        (virtual_adversarial, (), ["body", "head", "forward", "forward"]),
    ):
        made = objective(loss, *regularizers)
        network, calls = counted(Network.of(model()))
        params, state = made.init(Facts(11, C, D, CPU), Generator().manual_seed(0))
        made(network, made.draw(batch(), {"noise": Generator()}), params, state)
        assert calls == expected, loss


def test_metrics_compute_only_what_they_name():
    made = objective(virtual_adversarial)
    network, calls = counted(Network.of(model()))
    values = made.observer(("logits", "targets"))(network, batch())
    assert calls == ["body", "head"] and values.keys() == {"logits", "targets"}
    torch.testing.assert_close(values["logits"], model()(batch()["x"]))


def test_partial_functions_keep_their_names():
    made = objective(partial(focal, gamma=1.0), partial(l2_norm, weight=2.0))
    assert made.names == ["focal", "l2_norm"]
    assert list(made(Network.of(model()), batch(), {}, {}).terms) == ["focal", "l2_norm"]


# --- terms, reductions, masks ------------------------------------------------------------------------------------


def test_terms_and_regularizers_add_with_their_weights():
    """mean over the batch of (loss + penalty per example), plus the penalty of the weights, counted once."""
    own = model()
    made = objective(partial(center, weight=0.5), partial(confidence_penalty, weight=0.3), partial(l2_norm, weight=0.7))
    params, _ = made.init(Facts(11, C, D, CPU), Generator().manual_seed(0))
    result = made(Network.of(own), batch(), params, {})
    x, y = batch()["x"], batch()["targets"]
    features, log_p = own.body(x), own(x).log_softmax(-1)
    by_hand = {
        "cross_entropy": F.nll_loss(log_p, y),
        "center": 0.25 * (features - params["center"]["centers"][y]).square().sum(-1).mean(),
        "confidence_penalty": 0.3 * (log_p.exp() * log_p).sum(-1).mean(),
        "l2_norm": 0.35 * sum(p.square().sum() for p in own.parameters() if p.ndim == 2),
    }
    assert result.terms.keys() == by_hand.keys()
    for name, value in by_hand.items():
        torch.testing.assert_close(result.terms[name] / B, value.detach())
        assert not result.terms[name].requires_grad
    torch.testing.assert_close(result.loss, sum(by_hand.values()))
    assert float(result.count) == B
    gradients = torch.autograd.grad(result.loss, list(own.parameters()))
    expected = torch.autograd.grad(sum(by_hand.values()), list(own.parameters()))
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_reduction_sum_adds_the_penalty_of_the_weights_once():
    own = model()
    made = objective(cross_entropy, partial(l2_norm, weight=1.0), reduction=total_sum)
    result = made(Network.of(own), batch(), {}, {})
    penalty = sum(p.square().sum() for p in own.parameters() if p.ndim == 2) / 2
    loss = F.cross_entropy(own(batch()["x"]), batch()["targets"], reduction="sum")
    torch.testing.assert_close(result.loss, loss + penalty)


def test_worst_examples_are_those_of_the_whole_loss():
    """Two terms whose worst examples differ: cvar looks at their sum."""
    first, second = torch.tensor([4.0, 3.0, 0.0, 0.0]), torch.tensor([0.0, 3.0, 4.0, 0.0])

    def loss(logits):
        return {"first": first + 0 * logits.sum(-1), "second": second + 0 * logits.sum(-1)}

    result = objective(loss, reduction=partial(cvar, fraction=0.25))(Network.of(model()), batch(4), {}, {})
    assert result.loss.item() == 6.0  # example 1, not 4 + 4 of two different ones


def test_two_functions_with_a_term_of_the_same_name():
    def other(logits):
        return {"cross_entropy": logits.square().sum(-1)}

    result = objective(cross_entropy, other)(Network.of(model()), batch(), {}, {})
    assert result.terms.keys() == {"cross_entropy", "other.cross_entropy"}
    logits = model()(batch()["x"])
    expected = F.cross_entropy(logits, batch()["targets"]) + logits.square().sum(-1).mean()
    torch.testing.assert_close(result.loss, expected)


class Tokens(Classification):
    """T = 3 tokens an example, each with its own C logits."""

    batch = ("x", "targets", "mask", "ids")

    def logits(self, head, features):
        return head(features).unsqueeze(1) + torch.arange(3.0).view(3, 1) * torch.arange(C)


def token_batch() -> dict:
    draw = Generator().manual_seed(1)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 1, 1]]).bool()
    return {**batch(), "targets": torch.randint(C, (B, 3), generator=draw), "mask": mask}


def token_values() -> torch.Tensor:
    own, given = model(), token_batch()
    logits = own(given["x"]).unsqueeze(1) + torch.arange(3.0).view(3, 1) * torch.arange(C)
    return F.cross_entropy(logits.flatten(0, 1), given["targets"].flatten(), reduction="none").view(B, 3)


@pytest.mark.parametrize(
    ("reduction", "denominator"), [(mean, 11), (token_mean, 11), (sequence_mean, 5), (total_sum, 1)]
)
def test_masks_reach_the_reduction(reduction, denominator):
    mask, values = token_batch()["mask"], token_values()
    if reduction is sequence_mean:
        expected = sum((values[i][mask[i]].mean() for i in range(B) if mask[i].any()), torch.zeros(()))
    else:
        expected = values[mask].sum()
    made = objective(cross_entropy, reduction=reduction, task=Tokens(data(), CPU))
    result = made(Network.of(model()), token_batch(), {}, {})
    torch.testing.assert_close(result.loss, expected / denominator)


def test_masked_tokens_change_nothing_even_if_they_are_nan():
    def poisoned(logits, targets):
        return cross_entropy(logits, targets) + torch.where(token_batch()["mask"], 0.0, torch.nan)

    own, sound = model(), model()
    made = [objective(f, task=Tokens(data(), CPU)) for f in (poisoned, cross_entropy)]
    for function, network in zip(made, (own, sound), strict=True):
        function(Network.of(network), token_batch(), {}, {}).loss.backward()
    for one, other in zip(own.parameters(), sound.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_everything_masked():
    given = {**token_batch(), "mask": torch.zeros(B, 3, dtype=torch.bool)}
    for reduction in (mean, token_mean, sequence_mean, total_sum):
        own = model()
        result = objective(cross_entropy, reduction=reduction, task=Tokens(data(), CPU))(Network.of(own), given, {}, {})
        result.loss.backward()
        assert result.loss.item() == 0 and all(p.grad.eq(0).all() for p in own.parameters())


def test_terms_of_examples_beside_terms_of_tokens():
    """Each term is the mean over its own elements."""
    made = objective(cross_entropy, of_features, task=Tokens(data(), CPU))
    result = made(Network.of(model()), token_batch(), {}, {})
    mask = token_batch()["mask"]
    features = model().body(batch()["x"])
    torch.testing.assert_close(result.loss, token_values()[mask].mean() + features.square().sum(-1).mean())


# --- label mixing ------------------------------------------------------------------------------------------------


def test_label_mixing_is_the_mixture_by_hand():
    own = model()
    mixed = mixup(batch(), Generator().manual_seed(3), alpha=1.0)
    weight = mixed["partner_weight"]
    assert (
        weight.min() > 0.05 and weight.max() < 0.99 and not torch.equal(mixed["partner"]["targets"], mixed["targets"])
    )
    logits = own(mixed["x"])
    for loss, by_hand in (
        (cross_entropy, lambda y: F.cross_entropy(logits, y, reduction="none")),
        (brier, lambda y: (logits.softmax(-1) - F.one_hot(y, C)).square().sum(-1)),
    ):
        result = objective(loss)(Network.of(own), mixed, {}, {})
        expected = (1 - weight) * by_hand(mixed["targets"]) + weight * by_hand(mixed["partner"]["targets"])
        torch.testing.assert_close(result.loss, expected.mean())


def one_hot_loss(logits, labels):
    return -(labels * logits.log_softmax(-1)).sum(-1)


def test_label_mixing_reaches_what_is_made_from_labels_and_nothing_else():
    mixed = mixup(batch(), Generator().manual_seed(3), alpha=1.0)
    network, calls = counted(Network.of(model()))
    result = objective(one_hot_loss)(network, mixed, {}, {})
    torch.testing.assert_close(result.loss, objective(cross_entropy)(Network.of(model()), mixed, {}, {}).loss)
    assert calls == ["body", "head"]  # the mixed inputs go through the model once


def test_label_mixing_leaves_penalties_alone():
    mixed = mixup(batch(), Generator().manual_seed(3), alpha=1.0)
    result = objective(cross_entropy, partial(l2_norm, weight=1.0))(Network.of(model()), mixed, {}, {})
    penalty = sum(p.square().sum() for p in model().parameters() if p.ndim == 2) / 2
    torch.testing.assert_close(result.terms["l2_norm"] / B, penalty.detach())


def test_label_mixing_is_refused_for_losses_with_memory():
    made = objective(early_learning)
    _, state = made.init(Facts(11, C, D, CPU), Generator())
    with pytest.raises(UsageError, match="label mixing does not go with a loss that keeps per-example memory"):
        made(Network.of(model()), mixup(batch(), Generator()), {}, state)


# --- state, params, streams --------------------------------------------------------------------------------------


def test_state_goes_in_and_out():
    """The rows of the batch change, the others do not; the given state stays as it was; a second step sees it."""
    made = objective(partial(early_learning, beta=0.6))
    params, state = made.init(Facts(11, C, D, CPU), Generator())
    assert params == {} and state["early_learning"]["average"].shape == (11, C)
    p = model()(batch()["x"]).softmax(-1).detach()
    first = made(Network.of(model()), batch(), {}, state)
    assert state["early_learning"]["average"].eq(0).all()
    average = first.state["early_learning"]["average"]
    torch.testing.assert_close(average[:B], 0.4 * p)
    assert average[B:].eq(0).all()
    second = made(Network.of(model()), batch(), {}, first.state)
    torch.testing.assert_close(second.state["early_learning"]["average"][:B], 0.6 * 0.4 * p + 0.4 * p)


def test_params_are_drawn_from_the_given_stream_and_get_gradients():
    made = objective(center)
    one, other = (made.init(Facts(11, C, D, CPU), seeds.generator(seed, "params"))[0] for seed in (0, 1))
    again = made.init(Facts(11, C, D, CPU), seeds.generator(0, "params"))[0]
    assert one["center"]["centers"].shape == (C, D)
    assert torch.equal(one["center"]["centers"], again["center"]["centers"])
    assert not torch.equal(one["center"]["centers"], other["center"]["centers"])
    centers = one["center"]["centers"].requires_grad_()
    made(Network.of(model()), batch(), {"center": {"centers": centers}}, {}).loss.backward()
    present = torch.zeros(C, dtype=torch.bool).index_fill(0, batch()["targets"], True)
    assert torch.equal(centers.grad.abs().sum(1) > 0, present)


def test_draws_come_from_the_stream_of_their_name():
    made = objective(virtual_adversarial)
    assert [step.name for step in made.draws] == ["noise"] and "noise" not in [step.name for step in made.plan]
    torch.manual_seed(0)
    before = torch.get_rng_state()
    drawn = made.draw(batch(), {"noise": seeds.generator(0, "draw/noise")})
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(drawn["noise"], torch.randn((B, X), generator=seeds.generator(0, "draw/noise")))
    assert objective(cross_entropy).draws == []
    with pytest.raises(KeyError):
        made.draw(batch(), {})


def test_objective_is_pure():
    """Twice the same, the inputs untouched, no global stream moved."""
    made = objective(virtual_adversarial, confidence_penalty)
    given = made.draw(batch(), {"noise": Generator().manual_seed(0)})
    copies = {key: value.clone() for key, value in given.items()}
    network = Network.of(model())
    before = torch.get_rng_state()
    one, other = (made(network, given, {}, {}).loss for _ in range(2))
    assert torch.equal(one, other) and torch.equal(before, torch.get_rng_state())
    assert given.keys() == copies.keys() and all(torch.equal(given[key], copies[key]) for key in copies)


def progressive(logits, targets, progress):
    return progress * cross_entropy(logits, targets)


def test_progress_is_handed_on():
    made = objective(progressive)
    assert made.needs_progress and not objective(cross_entropy).needs_progress
    whole = objective(cross_entropy)(Network.of(model()), batch(), {}, {}).loss
    quarter = made(Network.of(model()), batch(), {}, {}, torch.tensor(0.25)).loss
    torch.testing.assert_close(quarter, whole / 4)


# --- precision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_features_reach_a_loss_as_float32(half):
    seen: dict = {}

    def loss(features, logits, targets, forward, x):
        seen.update(features=features.dtype, logits=logits.dtype, forward=forward(x).dtype)
        return cross_entropy(logits, targets)

    own = model()
    network = Network(  # as under autocast
        lambda x: own.body(x).to(half), lambda f: own.head(f.float()).to(half), lambda x: own(x).to(half), {}
    )
    result = objective(loss)(network, batch(), {}, {})
    assert seen == dict.fromkeys(("features", "logits", "forward"), torch.float32)
    assert result.loss.dtype == torch.float32
    assert objective(loss).observer(("logits",))(network, batch())["logits"].dtype == torch.float32


def test_double_precision_is_left_alone():
    given = {**batch(), "x": batch()["x"].double()}
    assert objective(cross_entropy)(Network.of(model().double()), given, {}, {}).loss.dtype == torch.float64


# --- the network -------------------------------------------------------------------------------------------------

MODELS = {
    "mlp": lambda: model(),
    "convnet": lambda: convnet(input_shape=(1, 8, 8), num_outputs=C),
    "resnet18": lambda: resnet18(input_shape=(3, 8, 8), num_outputs=C),
}


@pytest.mark.parametrize("name", MODELS)
def test_functional_network_equals_the_model(name):
    torch.manual_seed(0)
    own = MODELS[name]()
    x = {"mlp": torch.randn(4, X), "convnet": torch.randn(4, 1, 8, 8), "resnet18": torch.randn(4, 3, 8, 8)}[name]
    parameters = {key: value.detach().clone().requires_grad_() for key, value in own.named_parameters()}
    buffers = {key: value.clone() for key, value in own.named_buffers()}
    one, other = Network.of(own), Network.functional(own, parameters, buffers)
    for part, inputs in (("body", x), ("forward", x)):
        torch.testing.assert_close(getattr(other, part)(inputs), getattr(one, part)(inputs))
    features = one.body(x).detach()
    torch.testing.assert_close(other.head(features), one.head(features))
    assert other.model_parameters.keys() == one.model_parameters.keys()
    other.forward(x).sum().backward()
    assert all(p.grad is None for p in own.parameters()) and any(p.grad is not None for p in parameters.values())


def test_forward_leaves_running_statistics_alone_and_body_updates_them():
    torch.manual_seed(0)
    own = resnet18(input_shape=(3, 8, 8), num_outputs=C)
    buffers = [b.clone() for b in own.buffers()]
    network = Network.of(own)
    network.forward(torch.randn(4, 3, 8, 8))
    assert all(torch.equal(a, b) for a, b in zip(buffers, own.buffers(), strict=True))
    network.body(torch.randn(4, 3, 8, 8))
    assert not all(torch.equal(a, b) for a, b in zip(buffers, own.buffers(), strict=True))


# --- many runs as one program ------------------------------------------------------------------------------------

RUNS = 3


@pytest.mark.parametrize("loss", [cross_entropy, focal, squentropy, center, early_learning, virtual_adversarial])
def test_vmap_of_the_whole_objective_over_parameters_equals_a_loop(loss):
    made = objective(loss, partial(l2_norm, weight=0.1), confidence_penalty)
    models = []
    for seed in range(RUNS):
        torch.manual_seed(seed)
        models.append(mlp(input_shape=(X,), num_outputs=C, widths=[7, D]).double())
    given = made.draw({**batch(), "x": batch()["x"].double()}, {"noise": Generator().manual_seed(0)})
    inits = [made.init(Facts(11, C, D, CPU), Generator().manual_seed(seed)) for seed in range(RUNS)]

    def stack(parts):
        if isinstance(parts[0], dict):
            return {key: stack([part[key] for part in parts]) for key in parts[0]}
        return torch.stack([part.detach() for part in parts]).double()

    parameters = {
        key: value.requires_grad_() for key, value in stack([dict(m.named_parameters()) for m in models]).items()
    }
    params, state = stack([p for p, _ in inits]), stack([s for _, s in inits])

    def run(own, params, state):
        result = made(Network.functional(models[0], own, {}), given, params, state)
        return result.loss, result.terms, result.state

    losses, terms, states = vmap(run)(parameters, params, state)
    gradients = torch.autograd.grad(losses.sum(), list(parameters.values()))
    for i in range(RUNS):
        pick = lambda tree: {k: pick(v) if isinstance(v, dict) else v[i] for k, v in tree.items()}  # noqa: E731, B023
        single = made(Network.of(models[i]), given, pick(params), pick(state))
        torch.testing.assert_close(losses[i], single.loss)
        for name, value in single.terms.items():
            torch.testing.assert_close(terms[name][i], value)
        for name, tensors in single.state.items():
            for key, value in tensors.items():
                torch.testing.assert_close(states[name][key][i], value)
        own = torch.autograd.grad(single.loss, list(models[i].parameters()))
        for many, one in zip(gradients, own, strict=True):
            torch.testing.assert_close(many[i], one)


@pytest.mark.parametrize(
    ("loss", "name", "values"),
    [(focal, "gamma", [0.0, 0.5, 3.0]), (polyloss, "epsilon", [-1.0, 0.0, 2.0]), (center, "weight", [0.0, 0.1, 1.0])],
)
def test_vmap_over_a_hyper_parameter_equals_a_loop(loss, name, values):
    own = model().double()
    given = {**batch(), "x": batch()["x"].double()}
    params, _ = objective(loss).init(Facts(11, C, D, CPU), Generator().manual_seed(0))

    task = Classification(data(), CPU)

    def run(value):
        return objective(partial(loss, **{name: value}), task=task)(Network.of(own), given, params, {}).loss

    together = vmap(run)(torch.tensor(values, dtype=torch.float64))
    for value, many in zip(values, together, strict=True):
        torch.testing.assert_close(many, run(value))
    assert len(set(together.tolist())) == 3


# --- micro-batches -----------------------------------------------------------------------------------------------


class Frozen(nn.Module):
    body = staticmethod(lambda x: x)
    head = staticmethod(lambda x: x[:, :C])

    def forward(self, x):
        return x[:, :C]


def hosts(loss) -> object:
    if loss in (any_loss, asymmetric, binary_cross_entropy):
        whole = data()
        labels = {"labels": F.one_hot(whole.train.labels["targets"], C).float()}
        split = Split(whole.train.inputs, labels)
        return Multilabel(Dataset(split, split, split, C), CPU)
    if loss is mean_squared_error:
        return Regression(data(), CPU)
    if loss is distillation:
        return Distillation(data(), CPU, teacher=Frozen())
    return Classification(data(), CPU)


ADDING = (
    cross_entropy, partial(cross_entropy, class_weights=torch.arange(1.0, 8.0)), focal, polyloss, squentropy, brier,
    center, early_learning, virtual_adversarial, asymmetric, binary_cross_entropy,
    partial(binary_cross_entropy, positive_weights=torch.arange(1.0, 8.0)), mean_squared_error, distillation,
)  # fmt: skip


@pytest.mark.parametrize(
    "loss", ADDING, ids=lambda f: f.func.__name__ + "_weighted" if isinstance(f, partial) else f.__name__
)
@pytest.mark.parametrize("num_outputs", [7, 6])  # 6 is also the number of sampled examples
def test_losses_that_add_over_micro_batches(loss, num_outputs):
    if isinstance(loss, partial):
        loss = partial(loss.func, **{key: value[:num_outputs] for key, value in loss.keywords.items()})
    made = objective(loss, task=hosts(loss.func if isinstance(loss, partial) else loss))
    assert adds_over_micro_batches(made, 128, 4, num_outputs) is None


def centred(logits):
    return (logits - logits.mean(0)).square().sum(-1)


@pytest.mark.parametrize(
    ("loss", "regularizers", "reduction", "culprit"),
    [
        (any_loss, (), mean, "loss=any_loss"),
        (centred, (), mean, "loss=centred"),
        (cross_entropy, (centred,), mean, "regularizer=centred"),
        (cross_entropy, (), partial(cvar, fraction=0.5), "reduction=cvar"),
        (cross_entropy, (), partial(cvar, fraction=0.98), "reduction=cvar"),
        (cross_entropy, (l2_norm,), total_sum, "regularizer=l2_norm with reduction=sum"),
        (cross_entropy, (l2_norm,), mean, None),
        (cross_entropy, (confidence_penalty,), total_sum, None),
        (cross_entropy, (), partial(cvar, fraction=1.0), None),
        (cross_entropy, (), sequence_mean, None),
    ],
)
def test_what_does_not_add_is_named(loss, regularizers, reduction, culprit):
    made = objective(loss, *regularizers, reduction=reduction, task=hosts(loss))
    assert adds_over_micro_batches(made, 128, 4, 7) == culprit


def test_totals_and_counts_of_micro_batches_add():
    """The contract behind it: sum of totals over sum of counts is the whole batch's loss."""
    made = objective(center, l2_norm, confidence_penalty)
    params, _ = made.init(Facts(11, C, D, CPU), Generator())
    network = Network.of(model())
    whole = made(network, batch(), params, {})
    parts = [made(network, {k: v[rows] for k, v in batch().items()}, params, {}) for rows in (slice(0, 2), slice(2, B))]
    torch.testing.assert_close(sum(p.total for p in parts), whole.total)
    assert sum(float(p.count) for p in parts) == float(whole.count)
    for name, value in whole.terms.items():
        torch.testing.assert_close(sum(p.terms[name] for p in parts), value)


def test_every_word_that_a_task_provides_is_in_the_vocabulary():
    """Or it is a step on the way to one: another method of the task, or its metrics, takes it."""
    from lossbench import contract
    from lossbench.objective import provided
    from lossbench.tasks import tasks

    for task in tasks().values():
        methods = provided(task)
        taken = {name for method in (*methods.values(), task.metrics) for name in contract.tensor_names(method)}
        for name in methods:
            assert hasattr(vocabulary, name) or name in taken, (task, name)


# --- reweightings --------------------------------------------------------------------------------------------------


def of_the_loss(losses):
    return losses / losses.mean()


def later_ones(ids):
    return (ids >= 2).float()


def counting(losses, state):
    return torch.full_like(losses, 2.0), {"calls": state["calls"] + 1}


def init_state() -> dict[str, torch.Tensor]:  # of ``counting``
    return {"calls": torch.zeros(())}


def reweighted(loss, *reweightings, regularizers=(), reduction=mean) -> Objective:
    return Objective(loss, Classification(data(), CPU), reduction, regularizers, None, reweightings)


def test_weights_multiply_the_terms_of_the_loss_and_not_the_regularizers():
    own = model()
    made = reweighted(partial(center, weight=0.5), of_the_loss, later_ones, regularizers=[confidence_penalty])
    params, _ = made.init(Facts(11, C, D, CPU), Generator().manual_seed(0))
    result = made(Network.of(own), batch(), params, {})
    plain = center(own.body(batch()["x"]), own(batch()["x"]), batch()["targets"], params["center"], weight=0.5)
    whole = plain["cross_entropy"] + plain["center"]
    weights = whole / whole.mean() * torch.tensor([0.0, 0, 1, 1, 1, 1])  # several are multiplied
    log_p = own(batch()["x"]).log_softmax(-1)
    penalty = 0.1 * (log_p.exp() * log_p).sum(-1)
    torch.testing.assert_close(result.loss, ((weights.detach() * whole) + penalty).mean())
    torch.testing.assert_close(result.terms["center"], (weights * plain["center"]).sum().detach())
    assert result.terms.keys() == {"cross_entropy", "center", "confidence_penalty"}


def test_no_gradient_flows_through_the_weights():
    """(losses / their mean) as constants: the gradient is that of the weighted mean, not of the ratio."""
    own = model()
    reweighted(cross_entropy, of_the_loss)(Network.of(own), batch(), {}, {}).loss.backward()
    found = own.head.weight.grad.clone()
    own.zero_grad()
    losses = F.cross_entropy(own(batch()["x"]), batch()["targets"], reduction="none")
    (losses.detach() / losses.detach().mean() * losses).mean().backward()
    torch.testing.assert_close(found, own.head.weight.grad)


def test_memory_of_a_reweighting():
    made = reweighted(cross_entropy, counting)
    _, state = made.init(Facts(11, C, D, CPU), Generator())
    result = made(Network.of(model()), batch(), {}, state)
    assert made.has_state and result.state["counting"]["calls"] == 1
    plain = objective(cross_entropy)(Network.of(model()), batch(), {}, {})
    torch.testing.assert_close(result.loss, 2 * plain.loss)


def test_what_a_reweighting_cannot_weigh():
    with pytest.raises(UsageError, match="'needs_losses' needs the tensor 'losses'"):
        Objective(needs_losses, Classification(data(), CPU), mean)  # a loss cannot name it
    task = Multilabel(multilabel_data(), CPU)
    made = Objective(any_loss, task, mean, (), None, [of_the_loss])
    labelled = {"x": batch()["x"], "labels": torch.ones(B, C), "ids": batch()["ids"]}
    with pytest.raises(UsageError, match="reweighting=of_the_loss weighs elements, but loss=any_loss has one value"):
        made(Network.of(model()), labelled, {}, {})


def needs_losses(logits, losses):
    return logits.sum(-1) * losses


def multilabel_data() -> Dataset:
    split = Split(torch.randn(11, X), {"labels": torch.ones(11, C)})
    return Dataset(split, split, split, C)


def test_weights_that_depend_on_the_batch_do_not_add_over_micro_batches():
    assert adds_over_micro_batches(reweighted(cross_entropy, of_the_loss)) == "reweighting=of_the_loss"
    assert adds_over_micro_batches(reweighted(cross_entropy, later_ones)) is None
