"""Candidate ranking: generation, where each source also has answers of which it is known how good they are.

Batch       as in generation, and candidates [B, S, T], candidate_lengths [B, S], candidate_qualities [B, S]; see
            variant=corrupted_candidates
softcap     as in language_modeling
base        as in generation
Metrics     as in generation; candidate_rank_correlation, Spearman's between quality and log-probability per token of
            an example's candidates, the mean over the examples whose candidates differ; candidate_pick_quality, the
            mean quality of the likeliest candidate per token
"""

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.metrics.ranking import precise
from lossbench.tasks.generation import Generation


class CandidateRanking(Generation):
    batch: tuple[str, ...] = (*Generation.batch, "candidates", "candidate_lengths", "candidate_qualities")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        softcap: Annotated[float, Gt(0)] | None = None,
        base: nn.Module | None = None,
    ):
        if "candidates" not in dataset.train.labels:
            raise UsageError(
                "task=candidate_ranking needs candidates for each source, which this data set does not have. Choose "
                "dataset=key_symbols with variant=[corrupted_candidates], or task=generation."
            )
        super().__init__(dataset, device, softcap=softcap, base=base)

    def candidate_log_p(
        self, body: Callable, head: Callable, x: Tensor, candidates: Tensor, candidate_lengths: Tensor
    ) -> Tensor:
        """[B, S] the sum over the tokens that count."""
        number, length = candidates.shape[1:]
        given = x[:, : self._source + 1].unsqueeze(1).expand(-1, number, -1).flatten(0, 1).long()
        flat = candidates.flatten(0, 1)
        inputs = torch.cat([given, flat[:, :-1]], 1)
        log_p = self.logits(head, self.features(body, inputs))[:, self._source :].float().log_softmax(-1)
        chosen = log_p.gather(-1, flat.unsqueeze(-1)).squeeze(-1).unflatten(0, (-1, number))
        counts = torch.arange(length, device=x.device) < candidate_lengths.unsqueeze(-1)
        return torch.where(counts, chosen, 0.0).sum(-1)

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        target_log_p: Tensor,
        confidence: Tensor,
        correct: Tensor,
        predictive_entropy: Tensor,
        targets: Tensor,
        mask: Tensor,
        decoded: Tensor,
        candidate_log_p: Tensor,
        candidate_lengths: Tensor,
        candidate_qualities: Tensor,
        predicted: Tensor | None = None,
    ) -> dict[str, Tensor]:
        values = super().metrics(
            target_log_p, confidence, correct, predictive_entropy, targets, mask, decoded, predicted
        )
        scores = candidate_log_p / candidate_lengths
        found = {
            "candidate_rank_correlation": rank_correlation(scores, candidate_qualities),
            "candidate_pick_quality": precise(
                candidate_qualities.gather(1, scores.argmax(1, keepdim=True)).squeeze(1)
            ).mean(),
        }
        sound = scores.isfinite().all()
        return values | {name: torch.where(sound, value, torch.nan) for name, value in found.items()}


def rank_correlation(one: Tensor, other: Tensor) -> Tensor:
    """Mean over the rows of Spearman's correlation [N, S]; rows in which either is constant are left out. Equal values
    share their mean rank."""
    ranks = [_ranks(values) for values in (one, other)]
    centred = [r - r.mean(1, keepdim=True) for r in ranks]
    norm = (centred[0].square().sum(1) * centred[1].square().sum(1)).sqrt()
    there = norm > 0
    values = (centred[0] * centred[1]).sum(1) / torch.where(there, norm, 1.0)
    return torch.where(there, values, 0.0).sum() / there.sum()


def _ranks(values: Tensor) -> Tensor:
    a, b = values.unsqueeze(-1), values.unsqueeze(-2)
    return precise((a > b).sum(-1)) + 0.5 * precise((a == b).sum(-1) + 1)
