"""Captioning: descriptions of objects, judged by how much they tell; for dataset=captions.

Batch       as in generation
Metrics     as in generation, and of what greedy decoding says of an object up to its full stop:
            caption_length     words
            caption_details    words that are true of the object, each counted once
            caption_errors     words that are not
            self_retrieval     how often the object is the one of its split that most of the words are true of; where
                               n objects share that place, 1 / n
Source      self-retrieval: Liu et al. 2018, arXiv:1803.08314, with a model of both in the place of common words
"""

import torch
from torch import Tensor

from lossbench.metrics.overlap import length_before
from lossbench.metrics.ranking import precise
from lossbench.tasks.generation import Generation


class Captioning(Generation):
    selection = ("self_retrieval", "higher")

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        target_log_p: Tensor,
        confidence: Tensor,
        correct: Tensor,
        predictive_entropy: Tensor,
        targets: Tensor,
        mask: Tensor,
        decoded: Tensor,
        x: Tensor,
        predicted: Tensor | None = None,
    ) -> dict[str, Tensor]:
        values = super().metrics(
            target_log_p, confidence, correct, predictive_entropy, targets, mask, decoded, predicted
        )
        own = caption_metrics(decoded, length_before(decoded, self._end), x[:, : self._source], self._num_outputs)
        return values | {k: torch.where(values["nll"].isfinite(), v, torch.nan) for k, v in own.items()}


def caption_metrics(captions: Tensor, lengths: Tensor, objects: Tensor, num_words: int) -> dict[str, Tensor]:
    """captions [N, T] words, of which the first ``lengths`` [N] count, of the objects [N, S], which are words too."""
    counts = torch.arange(captions.shape[1], device=captions.device) < lengths.unsqueeze(1)
    said = _words(captions, counts, num_words)
    true = _words(objects, torch.ones_like(objects, dtype=torch.bool), num_words)
    shared = said @ true.T
    own = shared.diagonal()
    best = shared.amax(1)
    ties = (shared == best.unsqueeze(1)).sum(1)
    false = counts & ~true.bool().gather(1, captions)
    return {
        "caption_length": precise(lengths).mean(),
        "caption_details": own.mean(),
        "caption_errors": precise(false.sum(1)).mean(),
        "self_retrieval": torch.where(own == best, 1 / precise(ties), 0.0).mean(),
    }


def _words(tokens: Tensor, counts: Tensor, num_words: int) -> Tensor:
    """[N, C] 1 for each word that is there."""
    every = torch.arange(num_words, device=tokens.device)
    return precise(((tokens.unsqueeze(-1) == every) & counts.unsqueeze(-1)).any(1))
