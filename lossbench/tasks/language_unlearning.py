"""Language unlearning: a language model is to forget some of its training sequences and to keep what others taught it.

Batch       as in language_modeling, and forgotten [B], true for the members of the forget set: variant=[forget_set]
base        the model to start from, which stays as the reference, and as the teacher of losses that want one:
            {train: [overrides]} with the variant left out, or the folder of a finished run
retrained   models that never saw the forget set, for the metrics: a list as base, with variant.forget_set.keep=retain;
            null: nothing is compared with them
softcap     of the logits of all of them, as in language_modeling
Losses      as in unlearning: of whole sequences, by the sum over the tokens that count; also those of language_modeling
            and language_distillation, token by token
Metrics     as in language_distillation, with the base model as the teacher; with retrained models,
            retrained_divergence: KL(q || p) of a token that counts, p the model's probabilities and q the mean of
            theirs; at the end as in unlearning, of sequences: membership_auroc, and forget_distance and forget_quality
Weights     those of the last step, where evaluation.epochs is the whole budget: see unlearning
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, cast

import torch
from annotated_types import Gt
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.metrics.language import mean_under
from lossbench.metrics.ranking import precise
from lossbench.ops import kl_divergence, true_class_log_p
from lossbench.tasks.language_distillation import LanguageDistillation
from lossbench.tasks.unlearning import frozen, weights_of_kinds


class LanguageUnlearning(LanguageDistillation):
    same_model = ("base", "retrained")
    batch = ("x", "targets", "forgotten", "ids")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        base: nn.Module,
        retrained: list[nn.Module] | None = None,
        softcap: Annotated[float, Gt(0)] | None = None,
    ):
        self._weights = weights_of_kinds(dataset)
        self.start = frozen(base, "base", dataset, device)  # what the trained model begins as: the engine copies it
        super().__init__(dataset, device, teacher=base, softcap=softcap)
        self._retrained = [frozen(model, "retrained", dataset, device) for model in retrained or []]
        if not self._retrained:
            cast(Any, self).retrained_logits = None  # not provided, so that the metrics do without it

    def forget_weights(self, forgotten: Tensor) -> Tensor:
        return self._weights[0] * forgotten

    def retain_weights(self, forgotten: Tensor) -> Tensor:
        return self._weights[1] * ~forgotten

    # --- of whole sequences: the sum over the tokens that count

    def completion_logps(self, target_log_p: Tensor, mask: Tensor) -> Tensor:
        return _sum(target_log_p, mask)

    def ref_completion_logps(self, teacher_target_log_p: Tensor, mask: Tensor) -> Tensor:
        return _sum(teacher_target_log_p, mask)

    def base_divergence(self, teacher_kl: Tensor, mask: Tensor) -> Tensor:
        return _sum(teacher_kl, mask)

    # --- of the retrained models, for the metrics

    def retrained_logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            logits = torch.stack([model(x).float() for model in self._retrained], 1)
            return logits if self._softcap is None else self._softcap * (logits / self._softcap).tanh()

    def retrained_kl(self, logits: Tensor, retrained_logits: Tensor) -> Tensor:
        mixture = retrained_logits.log_softmax(-1).logsumexp(1) - math.log(retrained_logits.shape[1])
        return kl_divergence(mixture, logits.float().log_softmax(-1))

    def retrained_logps(self, retrained_logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        every = retrained_logits.shape[:-1]
        return _sum(true_class_log_p(retrained_logits, _beside(targets, every)), _beside(mask, every))

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        target_log_p: Tensor,
        confidence: Tensor,
        correct: Tensor,
        predictive_entropy: Tensor,
        targets: Tensor,
        mask: Tensor,
        teacher_kl: Tensor,
        student_kl: Tensor,
        agreement: Tensor,
        predicted: Tensor | None = None,
        retrained_kl: Tensor | None = None,
        retrained_logps: Tensor | None = None,
    ) -> dict[str, Tensor]:
        found = super().metrics(
            target_log_p,
            confidence,
            correct,
            predictive_entropy,
            targets,
            mask,
            teacher_kl,
            student_kl,
            agreement,
            predicted,
        )
        return found if retrained_kl is None else {**found, "retrained_divergence": mean_under(retrained_kl, mask)}

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.unlearning import forget_quality_metrics, membership_metrics

        if "forget" not in splits:
            return {}
        forget, test = (_sum(precise(splits[n]["target_log_p"]), splits[n]["mask"]) for n in ("forget", "test"))
        found = membership_metrics(forget, test)
        if "retrained_logps" in splits["forget"]:
            found |= forget_quality_metrics(forget, splits["forget"]["retrained_logps"].flatten())
        return found


def _sum(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values, 0).sum(-1)


def _beside(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """[B, T] as [B, M, T], the same for all M models."""
    return tensor.unsqueeze(1).expand(shape)
