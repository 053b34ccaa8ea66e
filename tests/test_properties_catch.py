"""The property suite can fail: small losses, each broken in one way, and the property that has to notice it."""

import contextlib
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
import torch
from annotated_types import Ge, Interval
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench import contract, ops
from lossbench.ops import one_hot, stopgrad, true_class_log_p
from tests.properties import files
from tests.properties.checks import CHECKS, check
from tests.properties.inputs import layouts

Logits = Float[Tensor, "*b C"]
Targets = Int[Tensor, "*b"]
Values = Float[Tensor, "*b"]


class Loss:
    """A loss that lives in no file."""

    def __init__(self, function: Callable, **module: Callable):
        self.function = function
        self.name = function.__name__
        self.module: Any = SimpleNamespace(**module)
        self.words = contract.tensor_names(function)
        self.defaults = {name: p.default for name, p in contract.hyperparameters(function).items()}


def catches(function: Callable, name: str, message: str, **module: Callable) -> None:
    with pytest.raises(AssertionError, match=f"(?s){function.__name__} fails '{name}': .*{message}"):
        check(Loss(function, **module), name)


# --- sound losses, one of each kind, pass everything ---------------------------------------------------------------


def focal(logits: Logits, targets: Targets, *, gamma: Annotated[float, Ge(0)] = 2.0) -> Values:
    log_p = true_class_log_p(logits, targets)
    return -stopgrad((1 - log_p.exp()) ** gamma) * log_p


def memory(
    logits: Float[Tensor, "B C"], targets: Int[Tensor, "B"], ids: Int[Tensor, "B"], state: dict[str, Tensor]
) -> tuple[dict[str, Float[Tensor, "B"]], dict[str, Tensor]]:
    mean = 0.5 * state["mean"][ids] + 0.5 * ops.stopgrad(logits.softmax(-1))
    values = {"nll": -true_class_log_p(logits, targets), "agreement": -(mean * logits.softmax(-1)).sum(-1)}
    return values, {"mean": state["mean"].index_copy(0, ids, mean)}


def init_memory(*, num_examples: int, num_outputs: int, device: torch.device) -> dict[str, Tensor]:
    return {"mean": torch.zeros(num_examples, num_outputs, device=device)}


def centers(features: Float[Tensor, "*b D"], targets: Targets, params: dict[str, Tensor]) -> Values:
    return (features - params["centers"][targets]).square().sum(-1)


def init_centers(*, num_outputs: int, num_features: int, scale: float = 1.0) -> dict[str, Tensor]:
    return {"centers": torch.zeros(num_outputs, num_features)}


def statistic(logits: Float[Tensor, "B C"], targets: Int[Tensor, "B"]) -> Float[Tensor, ""]:
    return -true_class_log_p(logits, targets).square().mean()


SOUND = [
    Loss(focal),
    Loss(memory, init_state=init_memory),
    Loss(centers, init_params=init_centers),
    Loss(statistic),
]


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("loss", SOUND, ids=lambda loss: loss.name)
def test_sound(loss: Loss, name: str) -> None:
    check(loss, name)


def test_layouts():  # [B, T] is checked where the annotations promise it, and only there
    assert [layouts(loss) for loss in SOUND] == [(False, True), (False,), (False, True), (False,)]


def test_original_stopgrad_is_back():
    check(SOUND[0], "gradcheck")
    assert stopgrad is ops.stopgrad and ops.stopgrad.__name__ == "stopgrad"


# --- broken ones are caught ----------------------------------------------------------------------------------------


def test_signature():
    def shape(logits: Logits, targets: Targets) -> Values:
        return -true_class_log_p(logits, targets).mean()

    def axis(logits: Logits, targets: Targets) -> Values:
        return -logits.log_softmax(-1).sum(0)

    def tokens(logits: Logits, targets: Targets) -> Values:
        values = -true_class_log_p(logits, targets)
        return values if values.ndim == 1 else values.mean(-1)

    def dtype(logits: Logits, targets: Targets) -> Values:
        return -true_class_log_p(logits, targets).float()

    def integers(logits: Logits, targets: Targets) -> Values:
        return logits.argmax(-1)

    def word(scores: Logits) -> Values:
        return scores.sum(-1)

    def unannotated(logits: Logits, targets: Targets):
        return -true_class_log_p(logits, targets)

    def expectation(logits: Float[Tensor, "*b C"], targets: Float[Tensor, "*b"]) -> Values:
        return logits.sum(-1) * targets

    catches(shape, "signature", r"float32 \[\], not Float\[Tensor, '\*b'\]")
    catches(axis, "signature", r"\[5\]")
    catches(tokens, "signature", r"\*b = \[6, 7\].*\[6\]")
    catches(dtype, "signature", "float32 where the inputs are torch.float64")
    catches(integers, "signature", "int64")
    catches(word, "signature", "'scores' is not a word")
    catches(unannotated, "signature", "no annotation")
    catches(expectation, "signature", "'targets' as the vocabulary draws it")


def test_signature_of_state():
    def grows(logits: Float[Tensor, "B C"], state: dict[str, Tensor]) -> tuple[Float[Tensor, "B"], dict[str, Tensor]]:
        return logits.sum(-1), {**state, "more": logits.detach()}

    catches(grows, "signature", "new state .*more", init_state=init_memory)
    catches(grows, "signature", "no init_state")


def test_gradcheck():
    def detached(logits: Logits, targets: Targets) -> Values:  # not through stopgrad: the suite cannot know
        log_p = true_class_log_p(logits, targets)
        return -(1 - log_p.exp()).detach() * log_p

    def straight_through(logits: Logits, targets: Targets) -> Values:
        p = logits.softmax(-1)
        return (p + (one_hot(p.argmax(-1), p.shape[-1], p.dtype) - p).detach()).square().sum(-1) + p.square().sum(-1)

    def one_row(logits: Logits, targets: Targets) -> Values:
        log_p = true_class_log_p(logits, targets)
        return -torch.cat([log_p[:1].detach(), log_p[1:]])

    catches(detached, "gradcheck", "Jacobian mismatch")
    catches(straight_through, "gradcheck", "Jacobian mismatch")
    catches(one_row, "gradcheck", "Jacobian mismatch")


def test_finite():
    def nan_gradient_at_one(logits: Logits, targets: Targets) -> Values:
        p = true_class_log_p(logits, targets).exp()
        return -((1 - p) ** 0.5) * p.clamp(min=1e-12).log()

    def infinite_value(logits: Logits, targets: Targets) -> Values:
        return -true_class_log_p(logits, targets).exp().log()

    def overflow(logits: Logits, targets: Targets) -> Values:
        return logits.exp().sum(-1).log() - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)

    def norm_of_zero(features: Float[Tensor, "*b D"]) -> Values:
        return features.square().sum(-1).sqrt()

    def no_positives(logits: Logits, labels: Float[Tensor, "*b C"]) -> Values:
        return -(labels * logits.sigmoid()).sum(-1) / labels.sum(-1)

    def all_positives(logits: Logits, labels: Float[Tensor, "*b C"]) -> Values:
        return ((1 - labels) * logits.sigmoid()).sum(-1) / (1 - labels).sum(-1)

    def single_class(logits: Float[Tensor, "B C"], targets: Int[Tensor, "B"]) -> Float[Tensor, ""]:
        other = one_hot(targets, 5, logits.dtype)[:, 1:]
        return -(other * logits[:, 1:]).sum() / other.sum()

    catches(nan_gradient_at_one, "finite", "the gradient of logits has .* confidently right")
    catches(infinite_value, "finite", "the value values has .* inf for: scale 100")
    catches(overflow, "finite", "for: scale")
    catches(norm_of_zero, "finite", "the gradient of features .* all equal and 0")
    catches(no_positives, "finite", "no positives|nan")
    catches(all_positives, "finite", "all positives")
    catches(single_class, "finite", "a single class")


def test_finite_in_half_precision():
    def cancels(logits: Logits, targets: Targets) -> Values:  # two scores of 1.001 and 1 are equal in bfloat16
        best = logits.topk(2, -1).values
        return 1 / (best[..., 0] - best[..., 1] + 1e-3 * (best[..., 0] == 0))

    catches(cancels, "finite", "entries like")


def test_signal():
    def bounded(logits: Logits, targets: Targets) -> Values:
        return 1 - true_class_log_p(logits, targets).exp()

    def one_example_left_out(logits: Logits, targets: Targets) -> Values:
        log_p = true_class_log_p(logits, targets)
        return -torch.where(log_p == log_p.min(), stopgrad(log_p), log_p)

    def constant(logits: Logits, targets: Targets) -> Values:
        return stopgrad(logits).sum(-1) + 0 * logits.sum(-1)

    catches(bounded, "signal", "wrong by 30")
    catches(one_example_left_out, "signal", "wrong by 30 has a gradient of 0")
    catches(constant, "signal", "0 for random inputs")


def test_batch():
    def rolled(logits: Logits, targets: Targets) -> Values:
        return -true_class_log_p(logits.roll(1, 0), targets)

    def by_position(logits: Logits, targets: Targets) -> Values:
        values = -true_class_log_p(logits, targets)
        return values * torch.linspace(1, 2, len(values), dtype=values.dtype).reshape(-1, *[1] * (values.ndim - 1))

    def first_only(logits: Float[Tensor, "B C"], targets: Int[Tensor, "B"]) -> Float[Tensor, ""]:
        return -true_class_log_p(logits, targets)[0]

    def centred(logits: Logits, targets: Targets) -> Values:  # equivariant to permutations, and mixes the batch
        values = -true_class_log_p(logits, targets)
        return values - values.mean()

    def along_tokens(logits: Logits, targets: Targets) -> Values:
        values = -true_class_log_p(logits, targets)
        return values if values.ndim == 1 else values - values.mean(-1, keepdim=True)

    catches(rolled, "permutation", "values of a permuted batch")
    catches(by_position, "permutation", "values of a permuted batch")
    catches(first_only, "permutation", "values of a permuted batch")
    catches(centred, "independence", "without the rest of it")
    catches(along_tokens, "independence", "instead of .* tokens")
    catches(centred, "masked", "with other values under the mask")


def test_permuted_state():
    def last_seen(
        logits: Float[Tensor, "B C"], ids: Int[Tensor, "B"], state: dict[str, Tensor]
    ) -> tuple[Float[Tensor, "B"], dict[str, Tensor]]:
        return logits.sum(-1), {"mean": state["mean"] + stopgrad(logits[0])}

    catches(last_seen, "permutation", "the new state mean", init_state=init_memory)


def test_masked():
    def empty_row(
        logits: Float[Tensor, "B T C"], targets: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B"]:
        return -torch.where(mask, true_class_log_p(logits, targets), 0).sum(-1) / mask.sum(-1)

    def reads_all_tokens(
        logits: Float[Tensor, "B T C"], targets: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B"]:
        return -true_class_log_p(logits, targets).mean(-1)

    catches(empty_row, "masked", "total through .* with an empty row is not finite")
    catches(reads_all_tokens, "masked", "total through .* with other values under the mask")


def test_vmap():
    def mask_indexing(logits: Logits, targets: Targets) -> Values:
        values = -true_class_log_p(logits, targets)
        return values.index_put((values > 1,), values[values > 1] * 2)

    def item(logits: Logits, targets: Targets) -> Values:
        return -true_class_log_p(logits, targets) / logits.abs().max().item()

    def branch(logits: Logits, targets: Targets, *, gamma: Annotated[float, Ge(0)] = 2.0) -> Values:
        values = -true_class_log_p(logits, targets)
        return values**gamma if gamma > 0 else values

    def as_number(logits: Logits, targets: Targets, *, gamma: Annotated[float, Ge(0)] = 2.0) -> Values:
        return -float(gamma) * true_class_log_p(logits, targets)

    def axis_from_the_front(logits: Logits, targets: Targets, *, weight: Annotated[float, Ge(0)] = 1.0) -> Values:
        weights = torch.as_tensor(weight, dtype=logits.dtype)
        return -true_class_log_p(logits, targets) * (weights if isinstance(weight, float) else weights + 1)

    catches(mask_indexing, "batched", "RuntimeError")
    catches(item, "batched", "RuntimeError")
    catches(branch, "batched", "RuntimeError|data-dependent")
    catches(as_number, "batched", "RuntimeError")
    catches(axis_from_the_front, "batched", "values under vmap with weight as 0-d tensors differs")


def test_purity():
    def in_place(logits: Logits, targets: Targets) -> Values:
        logits -= logits.amax(-1, keepdim=True)
        return -true_class_log_p(logits, targets)

    def harmless_in_place(targets: Targets, logits: Logits) -> Values:
        return -true_class_log_p(logits, targets.clamp_(min=0))

    def rng(logits: Logits, targets: Targets) -> Values:
        return -true_class_log_p(logits + torch.randn_like(logits), targets)

    def unused_rng(logits: Logits, targets: Targets) -> Values:
        torch.rand(())
        return -true_class_log_p(logits, targets)

    def python_rng(logits: Logits, targets: Targets) -> Values:
        return -true_class_log_p(logits, targets) * random.random()

    def grad_mode(logits: Logits, targets: Targets) -> Values:
        torch.set_grad_enabled(False)
        return -true_class_log_p(logits, targets)

    calls = []

    def counts_calls(logits: Logits, targets: Targets) -> Values:
        calls.append(1)
        return -true_class_log_p(logits, targets) * len(calls)

    def inner_autograd(logits: Logits, targets: Targets) -> Values:
        inner = logits.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(true_class_log_p(inner, targets).sum(), inner)
        return -true_class_log_p(logits + gradient, targets)

    catches(in_place, "purity", "edited 'logits' in place")
    catches(harmless_in_place, "purity", "edited 'targets' in place")
    catches(rng, "purity", "changed torch's random stream")
    catches(unused_rng, "purity", "changed torch's random stream")
    catches(python_rng, "purity", "changed Python's random stream")
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_grad_enabled, True)
        catches(grad_mode, "purity", "changed the grad mode")
    catches(counts_calls, "purity", "differs when it is called again")
    catches(inner_autograd, "purity", "RuntimeError")


def test_purity_of_state():
    State = dict[str, Tensor]

    def keeps_graph(
        logits: Float[Tensor, "B C"], ids: Int[Tensor, "B"], state: State
    ) -> tuple[Float[Tensor, "B"], State]:
        return logits.sum(-1), {"mean": state["mean"].index_copy(0, ids, logits)}

    def writes(logits: Float[Tensor, "B C"], ids: Int[Tensor, "B"], state: State) -> tuple[Float[Tensor, "B"], State]:
        state["mean"] = state["mean"].index_copy(0, ids, stopgrad(logits))
        return logits.sum(-1), state

    def deletes(logits: Float[Tensor, "B C"], state: State) -> tuple[Float[Tensor, "B"], State]:
        return logits.sum(-1), {"mean": state.pop("mean")}

    catches(keeps_graph, "purity", "keeps the graph", init_state=init_memory)
    catches(writes, "purity", "edited 'state.mean'", init_state=init_memory)
    catches(deletes, "purity", "added or removed", init_state=init_memory)


def test_domain():
    def free(logits: Logits, *, gamma=2.0) -> Values:
        return gamma * logits.sum(-1)

    def required(logits: Logits, *, gamma: float) -> Values:
        return gamma * logits.sum(-1)

    def default_outside(logits: Logits, *, gamma: Annotated[float, Interval(ge=0, le=1)] = 2.0) -> Values:
        return gamma * logits.sum(-1)

    def anything(logits: Logits, *, gamma: Any = 2.0) -> Values:
        return gamma * logits.sum(-1)

    catches(free, "domain", "'gamma' has no annotation")
    catches(required, "domain", "'gamma' has no default")
    catches(default_outside, "domain", r"loss.gamma=2.0 is not allowed")
    catches(anything, "domain", "was accepted")


def test_domain_finds_a_blind_check(monkeypatch):  # if contract.check let everything pass, the property would say so
    monkeypatch.setattr(contract, "check", lambda *_: None)
    catches(focal, "domain", "gamma=-1e-06 is outside of a number >= 0 and was accepted")


def test_extremes():
    def generalised(logits: Logits, targets: Targets, *, q: Annotated[float, Interval(ge=0, le=1)] = 0.7) -> Values:
        return (1 - (q * true_class_log_p(logits, targets)).exp()) / q

    catches(generalised, "extremes", "(ZeroDivisionError|q=0)")


# --- configs and files ---------------------------------------------------------------------------------------------


def test_config():
    good = {"_target_": "lossbench.losses.classification.polyloss.polyloss", "_partial_": True, "epsilon": 2.0}
    files.mirrors(good, "a.yaml")
    for change, message in (
        ({"epsilon": 1.0}, "epsilon is 1.0 here and 2.0 in the signature"),
        ({"gamma": 1.0}, r"has no \['gamma'\]"),
        ({"_partial_": False}, "_partial_"),
        ({"_target_": "lossbench.losses.classification.polyloss.poly"}, "is not there"),
    ):
        with pytest.raises(AssertionError, match=f"a.yaml.*{message}"):
            files.mirrors({**good, **change}, "a.yaml")
    with pytest.raises(AssertionError, match=r"also has \['epsilon'\]"):
        files.mirrors({key: value for key, value in good.items() if key != "epsilon"}, "a.yaml")
    included = {key: value for key, value in good.items() if key != "epsilon"}
    files.mirrors({**included, "defaults": ["_self_", {"/group@epsilon": "name"}]}, "a.yaml")
    with pytest.raises(AssertionError, match="also has"):
        files.mirrors({**included, "defaults": [{"override /group@epsilon": "name"}]}, "a.yaml")
    nested = {"a": {"b": good}, "_target_": "torch.optim.AdamW"}
    assert list(files.targets(nested, "x")) == [("x: a: b", good)]


@pytest.mark.parametrize(
    ("text", "check_file", "message"),
    [
        ("def other(logits): ...", files.has_one_function, "defines {'other'}"),
        ("def broken(logits): ...\ndef helper(): ...", files.has_one_function, "helper"),
        (
            '"""A sentence.\n\nReturns   x\nPaper     y\n"""\ndef broken(): ...',
            files.is_documented,
            "no line 'Differs'",
        ),
        ("def broken(): ...", files.has_test, "test_broken.py is missing"),
        ("def broken(): ...", files.has_config, "broken.yaml is missing"),
    ],
)
def test_files(tmp_path, monkeypatch, text, check_file, message):
    from tests.properties import methods

    for module in (files, methods):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(files, "CONFIGS", tmp_path / "configs")
    monkeypatch.setattr(methods, "PACKAGE", tmp_path / "lossbench")
    path = tmp_path / "lossbench" / "losses" / "classification" / "broken.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(AssertionError, match=message):
        check_file(methods.methods("losses")[0])


def test_missing_tests(tmp_path, monkeypatch):
    from tests.properties import methods

    for module in (files, methods):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(methods, "PACKAGE", tmp_path / "lossbench")
    for path, text in (
        ("lossbench/losses/classification/broken.py", "def broken(): ..."),
        ("tests/losses/classification/test_broken.py", "def test_limit(): ...\ndef test_hand(): ..."),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    with pytest.raises(AssertionError, match="test_oracle is missing"):
        files.has_test(methods.methods("losses")[0])
