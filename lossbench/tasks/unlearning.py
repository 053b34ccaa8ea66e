"""Unlearning: a trained classifier is to forget some of its training examples and to keep what it learned from others.

Batch       as in classification, and forgotten [B], true for the members of the forget set: variant=[forget_set]. Both
            kinds come in one batch; forget_weights and retain_weights make its mean the mean over one of the kinds, so
            that terms on either add: loss=npo regularizer=[retain_cross_entropy]
base        the model to start from, which stays as the reference: {train: [overrides]} on the same data without the
            variant, or the folder of a finished run
retrained   models that never saw the forget set, for the metrics: a list as base, with variant.forget_set.keep=retain;
            null: nothing is compared with them
attribution how the logits of a model without the forget set are predicted, for loss=datamodel_matching. influence: by
            data attribution, see lossbench/attribution.py; retrained: from the retrained models
damping     > 0, of the attribution: the weight decay of the base model's training
Metrics     as in classification; with retrained models the distance to them, on validation, test, the forget set
            (test/forget/...) and the retain set; at the end how well membership of the forget set can be told, and the
            forget quality; see lossbench/metrics/unlearning.py
Weights     those of the evaluation with the best accuracy, as everywhere, are those that have unlearned least: give
            evaluation.epochs the whole budget, so that the last ones are judged
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, cast

import torch
from annotated_types import Gt
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.ops import kl_divergence, true_class_log_p
from lossbench.tasks.classification import Classification


class Unlearning(Classification):
    same_model = ("base", "retrained")
    batch = ("x", "targets", "forgotten", "ids")  # type: ignore[assignment]  # one more

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        base: nn.Module,
        retrained: list[nn.Module] | None = None,
        attribution: Literal["influence", "retrained"] = "influence",
        damping: Annotated[float, Gt(0)] = 0.001,
    ):
        super().__init__(dataset, device)
        self._weights = weights_of_kinds(dataset)
        self._base = frozen(base, "base", dataset, device)
        self.start = self._base  # what the trained model begins as: the engine copies it
        self._retrained = [frozen(model, "retrained", dataset, device) for model in retrained or []]
        if not self._retrained:
            cast(Any, self).retrained_logits = None  # not provided, so that the metrics do without it
        self._attribution, self._damping = attribution, damping
        self._seen = {name: dataset.extra[name] for name in ("forget", "retain") if name in dataset.extra}
        self._removal: Any = None

    def forget_weights(self, forgotten: Tensor) -> Tensor:
        return self._weights[0] * forgotten

    def retain_weights(self, forgotten: Tensor) -> Tensor:
        return self._weights[1] * ~forgotten

    def teacher_logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self._base(x)

    def completion_logps(self, logits: Tensor, targets: Tensor) -> Tensor:
        return true_class_log_p(logits, targets)

    def ref_completion_logps(self, teacher_logits: Tensor, targets: Tensor) -> Tensor:
        return true_class_log_p(teacher_logits, targets)

    def base_divergence(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return kl_divergence(teacher_logits.log_softmax(-1), logits.log_softmax(-1))

    def retrained_logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.stack([model(x) for model in self._retrained], 1)

    def attributed_logits(self, x: Tensor) -> Tensor:
        if self._attribution == "influence":
            return self._attributed().logits(x)
        if not self._retrained:
            raise UsageError(
                "task.attribution=retrained, and task.retrained is not given. Give a list of {train: [overrides]} with "
                "variant.forget_set.keep=retain, or choose task.attribution=influence."
            )
        with torch.no_grad():
            return torch.stack([model(x) for model in self._retrained]).mean(0)

    def _attributed(self) -> Any:
        """Made when it is first asked for: it takes passes over all training examples."""
        if self._removal is None:
            from lossbench.attribution import Removal

            if len(self._seen) < 2:
                raise UsageError(
                    "task.attribution=influence needs all training examples, as variant=[forget_set] keeps them. "
                    "Choose this variant, or task.attribution=retrained."
                )
            inputs = torch.cat([self._standardised(split) for split in self._seen.values()])
            targets = torch.cat([split.labels["targets"] for split in self._seen.values()]).to(inputs.device)
            removed = torch.arange(len(inputs), device=inputs.device) < len(self._seen["forget"])
            self._removal = Removal(self._base, inputs, targets, removed, damping=self._damping)
        return self._removal

    def _standardised(self, split: Split) -> Tensor:
        if not isinstance(split.inputs, Tensor):
            raise UsageError(
                "task.attribution=influence reads all training examples at once, and this data set reads its inputs "
                "one at a time. Choose dataset.in_memory=true where the data set has it."
            )
        inputs = split.inputs.to(self._class_counts.device).float()
        inputs = inputs if self._mean is None else inputs - self._mean
        return inputs if self._std is None else inputs / self._std

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self, logits: Tensor, targets: Tensor, retrained_logits: Tensor | None = None
    ) -> dict[str, Tensor]:
        from lossbench.metrics.unlearning import retrained_metrics

        found = super().metrics(logits, targets)
        return found if retrained_logits is None else found | retrained_metrics(logits, targets, retrained_logits)

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.unlearning import forget_quality_metrics, membership_metrics

        found = super().test_metrics(splits)
        if "forget" not in splits:
            return found
        forget, test = (_target_logps(splits[name], "logits") for name in ("forget", "test"))
        found |= membership_metrics(forget, test)
        if "retrained_logits" in splits["forget"]:
            found |= forget_quality_metrics(forget, _target_logps(splits["forget"], "retrained_logits").flatten())
        return found


def weights_of_kinds(dataset: Dataset) -> tuple[float, float]:
    """(N / |forget set|, N / |retain set|) of the training split; 0 for a kind that it does not have.

    Raises UsageError where the examples are not marked.
    """
    if "forgotten" not in dataset.train.labels:
        raise UsageError(
            "task: unlearning needs training examples that are marked as forgotten or not, which this data set does "
            "not have. Choose variant=[forget_set]."
        )
    number, forgotten = len(dataset.train), int(dataset.train.labels["forgotten"].sum())
    kinds = forgotten, number - forgotten
    return number / kinds[0] if kinds[0] else 0.0, number / kinds[1] if kinds[1] else 0.0


def frozen(model: nn.Module, key: str, dataset: Dataset, device: torch.device) -> nn.Module:
    """The model of this key of the task, fixed. Raises UsageError where it is of other inputs or classes."""
    made = model.requires_grad_(False).eval().to(device)
    reads: Callable = made
    try:
        with torch.no_grad():
            example = dataset.train.inputs[0].to(device)
            outputs = reads((example if _is_index(example) else example.float()).unsqueeze(0)).shape[-1]
    except (RuntimeError, ValueError, IndexError):
        raise UsageError(
            f"task.{key} cannot read inputs of shape {list(dataset.input_shape)}, which this data set has. "
            "Choose a model that was trained on the same data set."
        ) from None
    if outputs != dataset.num_outputs:
        raise UsageError(
            f"task.{key} has {outputs} outputs, but the data set has {dataset.num_outputs} classes. Choose a model "
            "that was trained on the same classes."
        )
    return made


def _is_index(example: Tensor) -> bool:
    return not example.is_floating_point() and example.dtype != torch.uint8


def _target_logps(split: Mapping[str, Tensor], name: str) -> Tensor:
    """[N] or [N, M] log-probability of the targets."""
    logits, targets = split[name].double() if split[name].device.type != "mps" else split[name], split["targets"]
    return true_class_log_p(logits, targets if logits.ndim == 2 else targets.unsqueeze(1).expand(logits.shape[:2]))
