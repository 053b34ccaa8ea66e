"""Known source: language modelling of a source whose distribution is known, so that what the model says can be judged.

Batch       as in language_modeling; for dataset=markov_source
Metrics     as in language_modeling, and at the tokens that count, after the context as the source has it,
            reverse_nll       sum_v q_v (-log s_v): the cross-entropy of the model's next token q under the source s;
                              low where the model says nothing that the source would not
            forward_divergence, reverse_divergence    KL(s || q) and KL(q || s)
"""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.metrics.language import mean_under
from lossbench.ops import kl_divergence
from lossbench.tasks.language_modeling import LanguageModeling


class KnownSource(LanguageModeling):
    def __init__(self, dataset: Dataset, device: torch.device, *, softcap: Annotated[float, Gt(0)] | None = None):
        super().__init__(dataset, device, softcap=softcap)
        transitions = getattr(dataset, "transitions", None)
        if transitions is None:
            raise UsageError(
                "task=known_source needs a source whose distribution is known, which this data set does not give. "
                "Choose dataset=markov_source, or task=language_modeling."
            )
        states, self._symbols = transitions.shape
        self._order = next(n for n in range(1, 64) if self._symbols**n == states)
        floor = torch.finfo(torch.float32).tiny  # a symbol that never follows would make every divergence infinite
        self._log_source = transitions.clamp(min=floor).log().float().to(device)

    def source_log_p(self, x: Tensor) -> Tensor:
        """[B, T, C] log-probability of every token after each context; anything where the context is too short."""
        x = x.long()
        state = torch.zeros_like(x)
        for lag in range(self._order - 1, -1, -1):
            earlier = torch.nn.functional.pad(x, (lag, 0))[:, : x.shape[1]]
            state = state * self._symbols + earlier
        return self._log_source[state]

    def reverse_nll(self, logits: Tensor, source_log_p: Tensor) -> Tensor:
        return -(logits.float().softmax(-1) * source_log_p).sum(-1)

    def forward_divergence(self, logits: Tensor, source_log_p: Tensor) -> Tensor:
        return kl_divergence(source_log_p, logits.float().log_softmax(-1))

    def reverse_divergence(self, logits: Tensor, source_log_p: Tensor) -> Tensor:
        return kl_divergence(logits.float().log_softmax(-1), source_log_p)

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        target_log_p: Tensor,
        confidence: Tensor,
        correct: Tensor,
        predictive_entropy: Tensor,
        targets: Tensor,
        mask: Tensor,
        reverse_nll: Tensor,
        forward_divergence: Tensor,
        reverse_divergence: Tensor,
    ) -> dict[str, Tensor]:
        values = super().metrics(target_log_p, confidence, correct, predictive_entropy, targets, mask)
        own = {
            "reverse_nll": mean_under(reverse_nll, mask),
            "forward_divergence": mean_under(forward_divergence, mask),
            "reverse_divergence": mean_under(reverse_divergence, mask),
        }
        return values | own
