"""Language distillation: language modelling with a frozen teacher, token by token.

Batch       as in language_modeling
teacher     {train: [overrides]} of a run to be made first, or the folder of a finished run; the same tokens
softcap     of the student's and the teacher's logits, as in language_modeling
Metrics     as in language_modeling, and means over the tokens that count, with p the teacher's and q the student's
            probabilities: teacher_divergence, KL(p || q); teacher_reverse_divergence, KL(q || p); teacher_agreement,
            how often both have the same likeliest token
"""

from typing import Annotated, cast

import torch
from annotated_types import Gt
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.ops import kl_divergence, true_class_log_p
from lossbench.tasks.language_modeling import LanguageModeling


class LanguageDistillation(LanguageModeling):
    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        teacher: nn.Module,
        softcap: Annotated[float, Gt(0)] | None = None,
    ):
        super().__init__(dataset, device, softcap=softcap)
        self._teacher = teacher.requires_grad_(False).eval().to(device)
        self._teacher_body, self._teacher_head = cast(nn.Module, teacher.body), cast(nn.Module, teacher.head)
        try:
            with torch.no_grad():
                example = torch.zeros((1, *dataset.input_shape), dtype=torch.long, device=device)
                outputs = self._teacher(example).shape[-1]
        except (RuntimeError, ValueError):
            raise UsageError(
                f"task.teacher cannot read {list(dataset.input_shape)} tokens, which this data set has. "
                "Choose a language model that was trained on the same data set."
            ) from None
        if outputs != dataset.num_outputs:
            raise UsageError(
                f"task.teacher knows {outputs} tokens, but the data set has {dataset.num_outputs}. "
                "Choose a teacher that was trained with the same tokenizer."
            )

    def teacher_features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self._teacher_body(x)

    def teacher_logits(self, teacher_features: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self._teacher_head(teacher_features)
            return logits if self._softcap is None else self._softcap * (logits / self._softcap).tanh()

    def teacher_target_log_p(self, teacher_logits: Tensor, targets: Tensor) -> Tensor:
        return true_class_log_p(teacher_logits.float(), targets)

    # --- of single tokens, for the metrics

    def teacher_kl(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return kl_divergence(teacher_logits.float().log_softmax(-1), logits.float().log_softmax(-1))

    def student_kl(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return kl_divergence(logits.float().log_softmax(-1), teacher_logits.float().log_softmax(-1))

    def agreement(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return logits.argmax(-1) == teacher_logits.argmax(-1)

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
    ) -> dict[str, Tensor]:
        from lossbench.metrics.language import mean_under

        values = super().metrics(target_log_p, confidence, correct, predictive_entropy, targets, mask, predicted)
        return {
            **values,
            "teacher_divergence": mean_under(teacher_kl, mask),
            "teacher_reverse_divergence": mean_under(student_kl, mask),
            "teacher_agreement": mean_under(agreement, mask),
        }
