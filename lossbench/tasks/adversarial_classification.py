"""Adversarial classification: classification with inputs that an attack moves within a small ball.

Every loss of classification becomes adversarial training: with train_on=adversarial its ``logits`` are those of the
attacked inputs, with train_on=clean those of the inputs as they are, so that ordinary training is measured under
attack too. A loss that compares both names ``clean_logits`` and ``adversarial_logits``, whatever train_on says.

Batch       as in classification
Units       where the inputs have a range (images; value_range of the data set), radius is a part of that range: 8/255
            is 8 of the 256 levels of a byte, and attacked inputs stay within the range. Otherwise it is in standard
            deviations (inputs are standardised), and nothing is clipped
Attack      projected gradient, on the weights and in the mode of the moment: batch norm uses the statistics of the
            batch that is attacked, and its running statistics do not learn from the steps of an attack (they do from
            the inputs that it finds, which the model is trained on)
Evaluation  two attacks at every evaluation, without random numbers: uphill on the cross-entropy and on the negative
            margin, each from the input itself; what counts is the worst point that either comes across. At the default
            20 steps that is 40 passes forward and back for an input. They bound the robust accuracy from above
Metrics     as in classification, of the inputs as they are, plus robust_accuracy, worst_class_robust_accuracy,
            tail_robust_accuracy, margin, robust_margin; see lossbench/metrics/robustness.py. robust_accuracy selects;
            for ordinary training, where it may be 0 everywhere, selection.metric=accuracy is the better choice
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from torch import Generator, Tensor

from lossbench import contract
from lossbench.attacks import Ball, projected_gradient, worst_logits
from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.ops import margin
from lossbench.tasks.classification import Classification

# What the objective of an attack can name.
ATTACK_WORDS = ("logits", "adversarial_logits", "clean_logits", "targets", "labels", "class_counts")


class AdversarialClassification(Classification):
    """
    train_on      what the loss's ``logits`` and ``features`` are of
    norm, radius  of the ball, see Units
    steps         of the attack in training; 1 with step_size=1, random_start=false is the fast gradient sign method
    step_size     of the attack in training, in radii
    random_start  whether it begins at a random point of the ball, drawn once a step, or at the input
    attack_loss   what it makes large: a loss (loss@task.attack_loss=trades). One that names ``clean_logits`` gets them
                  as constants; its ``logits`` and ``adversarial_logits`` are both those of the moved inputs
    evaluation_radius, evaluation_steps, evaluation_step_size   of the attacks that are measured; null: radius
    """

    selection = ("robust_accuracy", "higher")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        train_on: Literal["adversarial", "clean"] = "adversarial",
        norm: Literal["l_inf", "l_2"] = "l_inf",
        radius: Annotated[float, Gt(0)] = 0.1,
        steps: Annotated[int, Ge(1)] = 10,
        step_size: Annotated[float, Gt(0)] = 0.25,
        random_start: bool = True,
        attack_loss: Callable = cross_entropy,
        evaluation_radius: Annotated[float, Gt(0)] | None = None,
        evaluation_steps: Annotated[int, Ge(1)] = 20,
        evaluation_step_size: Annotated[float, Gt(0)] = 0.125,
    ):
        super().__init__(dataset, device)
        unit, low, high = _units(dataset, device)
        self._ball = Ball(norm, radius, unit, low, high)
        self._evaluation_ball = Ball(norm, evaluation_radius or radius, unit, low, high)
        self._steps, self._step_size = steps, step_size * radius
        self._evaluation_steps = evaluation_steps
        self._evaluation_step_size = evaluation_step_size * (evaluation_radius or radius)
        self._random_start = random_start
        self._attack_loss, self._attack_words = attack_loss, _attack_words(attack_loss)
        # One pass through the model serves both names. The parameters are names, as everywhere in a task.
        instead: dict[str, Callable] = {
            "features": lambda adversarial_features: adversarial_features,
            "logits": lambda adversarial_logits: adversarial_logits,
        }
        if train_on == "clean":
            instead = {"clean_features": lambda features: features, "clean_logits": lambda logits: logits}
        for name, method in instead.items():
            setattr(self, name, method)

    def attack_start(self, x: Tensor, generator: Generator) -> Tensor:
        return self._ball.start(x, generator) if self._random_start else torch.zeros_like(x)

    def adversarial_x(self, forward: Callable, x: Tensor, targets: Tensor, attack_start: Tensor) -> Tensor:
        constants: dict[str, Any] = {"targets": targets}
        if "labels" in self._attack_words:
            constants["labels"] = self.labels(targets)
        if "class_counts" in self._attack_words:
            constants["class_counts"] = self.class_counts()
        if "clean_logits" in self._attack_words:
            with torch.no_grad():
                constants["clean_logits"] = _precise(forward(x))

        def objective(inputs: Tensor) -> Tensor:
            moved = _precise(forward(inputs))
            words = {"logits": moved, "adversarial_logits": moved, **constants}
            result = self._attack_loss(*[words[word] for word in self._attack_words])
            return sum(value.sum() for value in result.values()) if isinstance(result, dict) else result

        return projected_gradient(objective, x, attack_start, self._ball, steps=self._steps, step_size=self._step_size)

    def clean_features(self, body: Callable, x: Tensor) -> Tensor:
        return body(x)

    def clean_logits(self, head: Callable, clean_features: Tensor) -> Tensor:
        return head(clean_features)

    def adversarial_features(self, body: Callable, adversarial_x: Tensor) -> Tensor:
        return body(adversarial_x)

    def adversarial_logits(self, head: Callable, adversarial_features: Tensor) -> Tensor:
        return head(adversarial_features)

    def attacked_logits(self, forward: Callable, x: Tensor, targets: Tensor) -> Tensor:
        return worst_logits(
            lambda inputs: _precise(forward(inputs)),
            x,
            targets,
            (cross_entropy, lambda logits, targets: -margin(logits, targets)),
            self._evaluation_ball,
            steps=self._evaluation_steps,
            step_size=self._evaluation_step_size,
        )

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        clean_logits: Tensor,
        targets: Tensor,
        attacked_logits: Tensor,
        groups: Tensor | None = None,
        anomalies: Tensor | None = None,
    ) -> dict[str, Tensor]:
        from lossbench.metrics.robustness import robustness_metrics

        clean = super().metrics(clean_logits, targets, groups, anomalies)
        return {**clean, **robustness_metrics(clean_logits, attacked_logits, targets)}

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Those of classification, of the inputs as they are."""
        return super().test_metrics(
            {
                name: {"logits" if word == "clean_logits" else word: tensor for word, tensor in split.items()}
                for name, split in splits.items()
            }
        )


def _precise(logits: Tensor) -> Tensor:
    """At least float32: objectives of attacks do not compute in half precision, as losses do not."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _units(dataset: Dataset, device: torch.device) -> tuple[Tensor | float, Tensor | None, Tensor | None]:
    """(unit of the radius, least and greatest value of an input), all in the units of the standardised inputs."""
    first = dataset.train.inputs[0]
    span = (0.0, 255.0) if first.dtype == torch.uint8 else dataset.value_range
    if span is None:
        return 1.0, None, None

    def fit(values: Tensor | None, otherwise: float) -> Tensor:
        """One number a channel or feature, as it broadcasts against one input."""
        values = torch.as_tensor(otherwise if values is None else values, dtype=torch.float32, device=device)
        return values.reshape(-1, *[1] * (first.ndim - 1)) if values.ndim == 1 and first.ndim > 1 else values

    mean, std = fit(dataset.mean, 0.0), fit(dataset.std, 1.0)
    low, high = ((torch.as_tensor(bound, device=device) - mean) / std for bound in span)
    return (span[1] - span[0]) / std, low, high


def _attack_words(attack_loss: Callable) -> tuple[str, ...]:
    """What the objective of the attack names. Raises UsageError where it cannot have that."""
    function = attack_loss.func if isinstance(attack_loss, partial) else attack_loss
    words = contract.tensor_names(function)
    for word in words:
        if word not in ATTACK_WORDS:
            raise UsageError(
                f"task.attack_loss: {function.__name__} names '{word}', which an attack does not have. "
                f"Choose a loss that names only some of: {', '.join(ATTACK_WORDS)}."
            )
    if not {"logits", "adversarial_logits"} & set(words):
        raise UsageError(
            f"task.attack_loss: {function.__name__} does not depend on the moved inputs. "
            "Choose a loss that names 'logits' or 'adversarial_logits'."
        )
    return words
