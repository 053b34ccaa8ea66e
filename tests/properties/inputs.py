"""What the checks call a loss with: words of the vocabulary as one tree of tensors, {word: tensor or {name: tensor}}.

The tree keeps ``forward`` as the weight of a small model, so that gradients with respect to a model can be checked and
stacked; ``evaluate`` makes the callable of it.
"""

import types
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import torch
from torch import Generator, Tensor
from torch.utils._pytree import tree_map_only

from lossbench import contract, vocabulary
from lossbench.vocabulary import Sizes

Tree = dict[str, Any]

# The words that carry no gradient: the batch, what the engine gives, what frozen models say. The rest is the model's.
BATCH = {
    "x",
    "second_x",
    "unlabeled_inputs",
    "shifted_inputs",
    "ids",
    "targets",
    "anomalies",
    "labels",
    "regression_targets",
    "mask",
    "groups",
    "attributes",
    "demonstrations",
    "proportions",
    "task_targets",
    "rationales",
}
CONSTANT = BATCH | {
    "noise",
    "trade_offs",
    "trade_off_draws",
    "negative_rationales",
    "example_noise",
    "uniforms",
    "token_uniforms",
    "image_features",
    "progress",
    "class_counts",
    "number_values",
    "softcap",
    "class_prior",
    "bound_targets",
    "group_counts",
    "losses",
    "mixing_partners",
    "mixing_weights",
    "mixed_x",
    "mixing_coefficients",
    "acceptable",
    "nonconformity_scores",
    "likelihood_ratios",
    "state",
    "candidates",
    "ordered_targets",
    "order_noise",
    "diffusion_noise",
    "decoded",
    "noise_level",
    "hidden",
    "candidate_lengths",
    "candidate_qualities",
    "chosen_mask",
    "rejected_mask",
    "ranking_mask",
    "rollout_mask",
    "masked_token_logps",
    "chosen_lengths",
    "rejected_lengths",
    "reward_margins",
    "desirable",
    "prompt_ids",
    "preference_table",
    "rewards",
    "forget_weights",
    "retain_weights",
    "attributed_logits",
}
FROZEN = ("teacher_", "reference_", "ref_", "old_", "independent_", "frozen_")
SIZES = Sizes()


def carries_gradient(word: str) -> bool:
    return word not in CONSTANT and not word.startswith(FROZEN)


def shape_of(annotation: Any) -> str | None:
    """The shape in an annotation, such as '*b C'; None where it is not a tensor."""
    return getattr(annotation, "dim_str", None)


def batched(word: str) -> bool:
    """Whether the first axis of the word is the batch."""
    shape = shape_of(contract.return_annotation(getattr(vocabulary, word)))
    return shape is not None and shape.split()[:1] in (["*b"], ["B"])


def layouts(method: Any) -> tuple[bool, ...]:
    """The values of ``tokens`` to check: *b is [B] and [B, T] where every tensor with a batch axis begins with it."""
    annotations = contract.signature(method.function)
    shapes = [shape_of(annotations[word].annotation) or "" for word in method.words if batched(word)]
    if any(shape.startswith("B T") for shape in shapes):
        return (True,)
    return (False, True) if shapes and all(shape.startswith("*b") for shape in shapes) else (False,)


def draw(
    method: Any, *, tokens: bool = False, seed: int = 0, warm: bool = True, dtype: torch.dtype = torch.float64
) -> Tree:
    """Random inputs for the loss, always the same for the same arguments.

    ``params`` and ``state`` come from its module's init_params and init_state: the parameters get random values, the
    state is what a call on another batch leaves behind (``warm``), or the initial one.
    """
    sizes = Sizes(tokens=tokens)
    tree: Tree = {}
    for word in method.words:
        generator = Generator().manual_seed(zlib.crc32(word.encode()) + seed)
        if word in CALLABLES:
            inputs = sizes.X if word == "forward" else sizes.D
            tree[word] = torch.randn(inputs, sizes.C, generator=generator, dtype=torch.float64)
        elif word == "params":
            tree[word] = {
                name: torch.randn(value.shape, generator=generator, dtype=torch.float64) if _is_float(value) else value
                for name, value in initial(method, "params", generator).items()
            }
        elif word == "state":
            tree[word] = initial(method, "state", generator)
        else:
            tree[word] = getattr(vocabulary, word)(sizes, generator)
    tree = tree_map_only(Tensor, lambda t: t.to(dtype) if _is_float(t) else t, tree)
    if "state" in tree and warm:
        before = draw(method, tokens=tokens, seed=seed + 1000, warm=False, dtype=dtype)
        with torch.no_grad():
            tree["state"] = evaluate(method, before)[1]
    return tree


def initial(method: Any, word: str, generator: Generator) -> dict[str, Tensor]:
    """What the module's init_params or init_state gives, asked for as the engine does."""
    make: Callable = getattr(method.module, f"init_{word}")
    outputs = SIZES.P if "predictions" in method.words else SIZES.C
    available = {
        **method.defaults,
        "num_examples": SIZES.N,
        "num_outputs": outputs,
        "num_features": SIZES.D,
        "num_groups": SIZES.G,
        "device": torch.device("cpu"),
        "generator": generator,
    }
    return make(**{name: available[name] for name in contract.signature(make) if name in available})


def evaluate(method: Any, tree: Tree, **hyperparameters: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """({term: values}, new state or {}) of the loss on these inputs."""
    arguments = [CALLABLES[word](tree[word]) if word in CALLABLES else tree[word] for word in method.words]
    result = method.function(*arguments, **hyperparameters)
    state: dict[str, Tensor] = {}
    if "state" in method.words:
        result, state = result
    return (result if isinstance(result, dict) else {"values": result}), state


@dataclass(frozen=True)
class Forward:
    """The model of ``vocabulary.forward``, with its weight in sight."""

    weight: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        return torch.tanh(inputs.flatten(1) @ self.weight) * 2


@dataclass(frozen=True)
class Classify:
    """The head of ``vocabulary.classify``, with its weight in sight."""

    weight: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        return torch.tanh(features @ self.weight)


CALLABLES: dict[str, Any] = {"forward": Forward, "classify": Classify}


def leaves(tree: Tree) -> dict[str, Tensor]:
    """All tensors by path: 'logits', 'params.centers'."""
    found = {}
    for word, value in tree.items():
        for name, tensor in value.items() if isinstance(value, dict) else (("", value),):
            if isinstance(tensor, Tensor):
                found[f"{word}.{name}".rstrip(".")] = tensor
    return found


def rebuilt(tree: Tree, replaced: dict[str, Tensor]) -> Tree:
    """The tree with the tensors at these paths replaced."""
    return {
        word: {name: replaced.get(f"{word}.{name}", tensor) for name, tensor in value.items()}
        if isinstance(value, dict)
        else replaced.get(word, value)
        for word, value in tree.items()
    }


def differentiable(tree: Tree) -> dict[str, Tensor]:
    """The floating tensors that carry gradient, by path."""
    return {path: t for path, t in leaves(tree).items() if carries_gradient(path.split(".")[0]) and _is_float(t)}


def gradients(
    method: Any, tree: Tree, total: Callable[[dict[str, Tensor]], Tensor] | None = None, **hyperparameters: Any
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """(values, new state, gradient of their sum or of ``total(values)`` by path; 0 where there is no path)."""
    inputs = {path: t.detach().clone().requires_grad_() for path, t in differentiable(tree).items()}
    values, state = evaluate(method, rebuilt(tree, inputs), **hyperparameters)
    value = total(values) if total else sum_of(values)
    assert value.requires_grad, f"no gradient with respect to {', '.join(inputs) or 'anything: no tensor carries one'}"
    found = torch.autograd.grad(value, list(inputs.values()), allow_unused=True, materialize_grads=True)
    return {term: v.detach() for term, v in values.items()}, state, dict(zip(inputs, found, strict=True))


def sum_of(values: dict[str, Tensor]) -> Tensor:
    return torch.stack([v.sum() for v in values.values()]).sum()


def rows(tree: Tree, index: Any) -> Tree:
    """The examples at the index, out of every tensor that has a batch axis."""
    return {word: value[index] if batched(word) else value for word, value in tree.items()}


def _is_float(tensor: Tensor) -> bool:
    return tensor.is_floating_point()


# --- hard inputs -------------------------------------------------------------------------------------------------

SCALES = (1.0, 1e2, 2e4)  # 3 * 2e4 is the last that float16 can hold


def hard(tree: Tree) -> Iterator[tuple[str, Tree]]:
    """The tree made difficult, one way at a time, each with its name: large, tied, one-sided, confident."""
    model = {path: t for path, t in leaves(tree).items() if _scaled(path.split(".")[0])}
    for scale in SCALES:
        yield f"scale {scale:g}", rebuilt(tree, {path: t.clamp(-3, 3) * scale for path, t in model.items()})
        for how in ("right", "wrong"):
            if confident := confidently(tree, how, scale):
                yield f"confidently {how} by {scale:g}", confident
    tied = {path: torch.zeros_like(t) for path, t in model.items()}
    yield "all equal and 0", rebuilt(tree, tied)
    yield "all equal and 1", rebuilt(tree, {path: torch.ones_like(t) for path, t in model.items()})
    if "predictions" in tree and "regression_targets" in tree:
        yield "predictions equal to the targets", {**tree, "predictions": tree["regression_targets"].clone()}
    for word in [w for w in tree if w.startswith("teacher_") and w.removeprefix("teacher_") in tree]:
        yield f"equal to {word}", {**tree, word.removeprefix("teacher_"): tree[word].clone()}
    if "targets" in tree:
        yield "a single class", {**tree, "targets": torch.zeros_like(tree["targets"])}
        yield "a single class and ties", {**rebuilt(tree, tied), "targets": torch.zeros_like(tree["targets"])}
    if "labels" in tree:
        for name, make in (("no positives", torch.zeros_like), ("all positives", torch.ones_like)):
            yield name, {**tree, "labels": make(tree["labels"])}
            for how in ("right", "wrong"):
                if confident := confidently({**tree, "labels": make(tree["labels"])}, how, SCALES[-1]):
                    yield f"{name}, confidently {how}", confident


def _scaled(word: str) -> bool:
    """What a model says, or its parameters; not the loss's own parameters, which start small."""
    return word not in CONSTANT | {"params", *CALLABLES}


def confidently(tree: Tree, how: str, scale: float) -> Tree | None:
    """The model right or wrong on every example by this margin; None where the loss has no notion of it."""
    sign = 1 if how == "right" else -1
    if "logits" in tree:
        if "targets" in tree:
            true = torch.zeros_like(tree["logits"]).scatter_(-1, tree["targets"].unsqueeze(-1), 1.0)
            # Wrong is one other class: then its probability is 1, not 1 / (C - 1).
            return {**tree, "logits": scale * (true if sign > 0 else true.roll(1, -1))}
        if "labels" in tree:
            return {**tree, "logits": sign * scale * (2 * tree["labels"] - 1)}
        if "teacher_logits" in tree:
            best = torch.zeros_like(tree["logits"])
            best = best.scatter_(-1, tree["teacher_logits"].argmax(-1, keepdim=True), 1.0)
            logits = scale * (best if sign > 0 else best.roll(1, -1))
            return {**tree, "teacher_logits": scale * best, "logits": logits}
    if "predictions" in tree and "regression_targets" in tree:
        shift = 0.0 if sign > 0 else scale
        return {**tree, "predictions": tree["regression_targets"] + shift}
    if "features" in tree and ("targets" in tree or "teacher_features" in tree) and sign < 0:
        return {**tree, "features": tree["features"].clamp(-3, 3) * scale}
    return None


def born(tree: Tree, dtype: torch.dtype) -> Tree:
    """What a model that computes in this dtype gives, upcast to float32 as the objective does."""

    def cast(path: str, tensor: Tensor) -> Tensor:
        return tensor.to(dtype).float() if _scaled(path.split(".")[0]) else tensor.float()

    return rebuilt(tree, {path: cast(path, t) for path, t in leaves(tree).items() if _is_float(t)})


# --- hyper-parameters --------------------------------------------------------------------------------------------


def domain_samples(method: Any, name: str) -> list[float]:
    """Three different numbers that the hyper-parameter allows; empty where it is not a floating number."""
    parameter = contract.hyperparameters(method.function)[name]
    if not _is_number(parameter.annotation):
        return []
    default = parameter.default if isinstance(parameter.default, (int, float)) else 0.5
    tries = [default, *(default * factor for factor in (0.5, 0.75, 1.5)), 0.25, 0.5, 0.75, default - 0.5, default + 0.5]
    tries += [2.0, 3.0, 4.0]
    allowed = [float(value) for value in tries if contract.accepts(parameter.annotation, value)]
    found = sorted(set(allowed), key=allowed.index)[:3]
    assert len(found) == 3, f"no three values of '{name}' to try in {contract.describe(parameter.annotation)}"
    return found


def _is_number(annotation: Any) -> bool:
    """float, with a range or without, with null beside it or without."""
    if annotation is float:
        return True
    if get_origin(annotation) is Annotated:
        return _is_number(get_args(annotation)[0])
    return get_origin(annotation) in (Union, types.UnionType) and any(map(_is_number, get_args(annotation)))
