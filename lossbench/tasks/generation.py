"""Generation: sequence to sequence, judged by what greedy decoding makes of the source.

Batch       as in seq2seq
softcap     as in language_modeling
base        null, or the model to start from: a folder, or {train: [overrides]} of a run to be made first
Metrics     as in seq2seq; of the decoded output against the reference, up to the full stop that ends them:
            output_unigram_f1 and output_bigram_f1 (what ROUGE-1 and ROUGE-2 count), output_overlap, the mean of both,
            output_accuracy, the part that is the reference, and output_set_accuracy, the part that has the same tokens
            in any order
"""

from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.metrics.overlap import length_before, ngram_f1
from lossbench.metrics.ranking import precise
from lossbench.tasks.seq2seq import Seq2seq


class Generation(Seq2seq):
    selection = ("output_overlap", "higher")
    same_model: tuple[str, ...] = ("base",)

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        softcap: Annotated[float, Gt(0)] | None = None,
        base: nn.Module | None = None,
    ):
        super().__init__(dataset, device, softcap=softcap)
        self._source = self.shapes(dataset)[0][0]
        names = list(dataset.class_names)
        self._end = names.index(".") if "." in names else None
        if base is not None:
            self.start = base  # what the trained model begins as: the engine copies it

    def decoded(self, body: Callable, head: Callable, x: Tensor) -> Tensor:
        """[B, T] the likeliest token, one after the other; the source and the sign to begin are all that is given."""
        with torch.no_grad():
            given = x[:, : self._source + 1].long()
            for place in range(self._source, x.shape[1]):
                filled = torch.nn.functional.pad(given, (0, x.shape[1] - given.shape[1]))  # nobody sees what comes
                logits = self.logits(head, self.features(body, filled))
                given = torch.cat([given, logits[:, place].argmax(-1, keepdim=True)], 1)
            return given[:, self._source + 1 :]

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        target_log_p: Tensor,
        confidence: Tensor,
        correct: Tensor,
        predictive_entropy: Tensor,
        targets: Tensor,
        mask: Tensor,
        decoded: Tensor,
        predicted: Tensor | None = None,
    ) -> dict[str, Tensor]:
        values = super().metrics(target_log_p, confidence, correct, predictive_entropy, targets, mask, predicted)
        return values | output_metrics(decoded, targets[:, self._source :], self._end, values["nll"])


def output_metrics(decoded: Tensor, references: Tensor, end: int | None, nll: Tensor) -> dict[str, Tensor]:
    """Means over the examples; NaN where the model's likelihood is."""
    lengths, right = length_before(decoded, end), length_before(references, end)
    unigram, bigram = (ngram_f1(decoded, lengths, references, right, n) for n in (1, 2))
    places = torch.arange(references.shape[1], device=references.device) < right.unsqueeze(-1)
    exact = (lengths == right) & ((decoded == references) | ~places).all(-1)
    found = {
        "output_overlap": (unigram + bigram) / 2,
        "output_unigram_f1": unigram,
        "output_bigram_f1": bigram,
        "output_accuracy": precise(exact),
        "output_set_accuracy": precise(unigram == 1),
    }
    return {name: torch.where(nll.isfinite(), value.mean(), torch.nan) for name, value in found.items()}
