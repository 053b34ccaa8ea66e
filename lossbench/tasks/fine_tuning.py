"""Fine-tuning: language modelling that starts from the weights of a base model, which stays as the reference.

At the end, with a split of outliers (dataset=shakespeare_plays), how well a score of whole examples tells them from the
test split. Sums run over the tokens that count:

    ratio         sum_t log p_base - log p      how much less fine-tuning has raised the likelihood than elsewhere
    likelihood    - sum_t log p                 of the fine-tuned model alone
    base          - sum_t log p_base            of the base model alone

Batch       as in language_modeling
base        the model to start from: a folder, or {train: [overrides]} of a run to be made first; the same model
score       which of the scores gives outlier_auroc, outlier_aupr and outlier_fpr95
Metrics     as in language_modeling; outlier_<score>_<metric> for every score, see lossbench/metrics/outliers.py
Paper       Zhang et al. 2024, arXiv:2404.08679, whose criterion is -ratio
Differs     their code has the mean over T - 1 tokens times T, which depends on the length; here it is the sum
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.tasks.language_modeling import LanguageModeling

Score = Literal["ratio", "likelihood", "base"]


class FineTuning(LanguageModeling):
    same_model = ("base",)

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        base: nn.Module,
        score: Score = "ratio",
        softcap: Annotated[float, Gt(0)] | None = None,
    ):
        super().__init__(dataset, device, softcap=softcap)
        self.start = base  # what the trained model begins as: the engine copies it
        self._base = base.requires_grad_(False).eval().to(device)
        self._score = score

    def base_target_log_p(self, x: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self._base(x).float()
            if self._softcap is not None:
                logits = self._softcap * (logits / self._softcap).tanh()
            return logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        target_log_p: Tensor,
        base_target_log_p: Tensor,
        confidence: Tensor,
        correct: Tensor,
        predictive_entropy: Tensor,
        targets: Tensor,
        mask: Tensor,
        predicted: Tensor | None = None,
    ) -> dict[str, Tensor]:
        return super().metrics(target_log_p, confidence, correct, predictive_entropy, targets, mask, predicted)

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        from lossbench.metrics.outliers import detection_metrics

        if "outliers" not in splits:
            return {}
        inside, outside = (_scores(splits[name]) for name in ("test", "outliers"))
        found: dict[str, Tensor] = {}
        for name in inside:
            both = torch.cat([inside[name], outside[name]])
            outliers = torch.arange(len(both), device=both.device) >= len(inside[name])
            values = detection_metrics(both, outliers)
            found |= {f"outlier_{name}_{metric}": value for metric, value in values.items()}
            if name == self._score:
                found |= {f"outlier_{metric}": value for metric, value in values.items()}
        return found


def _scores(split: Mapping[str, Tensor]) -> dict[Score, Tensor]:
    """The scores [N] of examples, larger for what is more of an outlier."""
    from lossbench.metrics.ranking import precise

    counts = split["mask"]
    own, base = (torch.where(counts, precise(split[name]), 0).sum(-1) for name in ("target_log_p", "base_target_log_p"))
    return {"ratio": base - own, "likelihood": -own, "base": -base}
