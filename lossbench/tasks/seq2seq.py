"""Sequence to sequence: the tokens after a source, given the whole source.

Batch       x [B, S + T] a source of S tokens, then a sign to begin and the target without its last token; targets
            [B, S + T] the token after each; mask [B, S + T], true where a target counts: nowhere in the source; ids
            [B]. S is the same for all
softcap     as in language_modeling
Metrics     as in language_modeling. sequence_accuracy is the part of the outputs that greedy decoding gets right as a
            whole: where every token is the likeliest after the right ones before it, decoding never leaves them
"""

from typing import Annotated

import torch
from annotated_types import Gt

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.language_modeling import LanguageModeling


class Seq2seq(LanguageModeling):
    batch: tuple[str, ...] = ("x", "targets", "mask", "ids")

    def __init__(self, dataset: Dataset, device: torch.device, *, softcap: Annotated[float, Gt(0)] | None = None):
        super().__init__(dataset, device, softcap=softcap)

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, int], int]:
        """((S, T), the size of the vocabulary). Raises UsageError where the sources are not of one length."""
        first = set()
        for split in (dataset.train, dataset.validation, dataset.test):
            mask = split.labels.get("mask")
            if mask is not None and len(mask):
                first |= set(mask.long().argmax(1).unique().tolist()) if mask.any(1).all() else {0}
        if len(first) != 1 or 0 in first:
            raise UsageError(
                "task=seq2seq needs a data set whose sequences all begin with a source of one length, where no target "
                "counts. Choose dataset=copying, reversal or addition, or task=language_modeling."
            )
        source = first.pop()
        return (source, dataset.input_shape[0] - source), dataset.num_outputs
