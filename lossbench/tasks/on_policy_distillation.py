"""On-policy distillation: the teacher judges, token by token, what the student itself has written.

In every step the student goes on from the first tokens of each block of the data, one sampled token after the other,
with its weights of the moment. What it wrote takes the place of the block: features, logits and teacher_logits are of
that, and the mask is true from the last token of the prompt on, where the student chose. Sampling carries no gradient.

Batch       as in language_modeling, without a mask: the data give the prompts. Losses compare logits with
            teacher_logits; ``targets`` are those of the data, for evaluation, and mean nothing in training
teacher, softcap   as in language_distillation
prompt      tokens of a block that are kept
start       a model to start from, as fine_tuning has it: a student that writes nothing sensible learns from nothing
            sensible; null: new weights
Metrics     as in language_distillation, on the data, so that they need no samples and are those of every other way to
            distil
"""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Generator, Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.language_distillation import LanguageDistillation
from lossbench.tasks.rollouts import continued


class OnPolicyDistillation(LanguageDistillation):
    selection = ("teacher_reverse_divergence", "lower")
    same_model = ("start",)

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        teacher: nn.Module,
        prompt: Annotated[int, Ge(1)] = 8,
        start: nn.Module | None = None,
        softcap: Annotated[float, Gt(0)] | None = None,
    ):
        super().__init__(dataset, device, teacher=teacher, softcap=softcap)
        if "mask" in dataset.train.labels:
            raise UsageError(
                "task=on_policy_distillation writes its own tokens, and this data set says which of its tokens count. "
                "Choose a data set without a mask, such as dataset=shakespeare, or task=language_distillation."
            )
        if prompt > dataset.input_shape[0]:
            raise UsageError(
                f"task.prompt={prompt} is more than the {dataset.input_shape[0]} tokens of a block. Give fewer."
            )
        self._prompt, self.start = prompt, start

    # --- what is trained on

    def sampling_uniforms(self, x: Tensor, generator: Generator) -> Tensor:
        return torch.rand(x.shape, generator=generator, device=x.device)

    def rollouts(self, body: Any, head: Callable, x: Tensor, sampling_uniforms: Tensor) -> Tensor:
        """[B, T] the prompt and what the student wrote behind it."""
        return continued(body, lambda features: self.logits(head, features), x[:, : self._prompt], sampling_uniforms)

    def features(self, body: Callable, rollouts: Tensor) -> Tensor:
        return body(rollouts)

    def teacher_features(self, rollouts: Tensor) -> Tensor:
        return super().teacher_features(rollouts)

    def mask(self, rollouts: Tensor) -> Tensor:  # the last token of the prompt is where the first one is written
        places = torch.arange(rollouts.shape[1], device=rollouts.device)
        return (places >= self._prompt - 1).expand_as(rollouts)

    # --- what is measured: the same on the data

    def data_logits(self, body: Callable, head: Callable, x: Tensor) -> Tensor:
        return self.logits(head, body(x))

    def data_teacher_logits(self, x: Tensor) -> Tensor:
        return self.teacher_logits(super().teacher_features(x))

    def log_normalizer(self, data_logits: Tensor) -> Tensor:
        return super().log_normalizer(data_logits)

    def target_log_p(self, data_logits: Tensor, targets: Tensor, log_normalizer: Tensor) -> Tensor:
        return super().target_log_p(data_logits, targets, log_normalizer)

    def confidence(self, data_logits: Tensor, log_normalizer: Tensor) -> Tensor:
        return super().confidence(data_logits, log_normalizer)

    def predicted(self, data_logits: Tensor) -> Tensor:
        return super().predicted(data_logits)

    def predictive_entropy(self, data_logits: Tensor, log_normalizer: Tensor) -> Tensor:
        return super().predictive_entropy(data_logits, log_normalizer)

    def teacher_kl(self, data_logits: Tensor, data_teacher_logits: Tensor) -> Tensor:
        return super().teacher_kl(data_logits, data_teacher_logits)

    def student_kl(self, data_logits: Tensor, data_teacher_logits: Tensor) -> Tensor:
        return super().student_kl(data_logits, data_teacher_logits)

    def agreement(self, data_logits: Tensor, data_teacher_logits: Tensor) -> Tensor:
        return super().agreement(data_logits, data_teacher_logits)

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        target_log_p: Tensor,
        confidence: Tensor,
        correct: Tensor,
        predictive_entropy: Tensor,
        targets: Tensor,
        teacher_kl: Tensor,
        student_kl: Tensor,
        agreement: Tensor,
        predicted: Tensor | None = None,
    ) -> dict[str, Tensor]:
        every = torch.ones_like(targets, dtype=torch.bool)
        own = (target_log_p, confidence, correct, predictive_entropy, targets, every)
        return super().metrics(*own, teacher_kl, student_kl, agreement, predicted)
