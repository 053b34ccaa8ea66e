"""Language modelling: the next token at every place.

Batch       x [B, T] token indices, targets [B, T] the token after each, ids [B]
            where the data set has it: mask [B, T], true where a target counts
softcap     the logits are softcap tanh(logits / softcap), in losses, metrics and samples alike; null: as they are
Metrics     nll in nats per token, perplexity, bits per byte, accuracy, top5_accuracy, calibration, nll by position and
            by frequency, repetition, what is known by heart; see lossbench/metrics/language.py. They need single
            numbers of each token, never the logits of a split. A further split is measured too:
            variant=[repeated_blocks]
            where the data set has a mask, which makes answers of its sequences: pass_1, pass_16 and pass_256, whether
            one of so many samples is the answer, and number_mae, how far off its digits are
Reduction   mean over [B, T] is the mean over the tokens that count
"""

from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.metrics.coverage import pass_at
from lossbench.metrics.language import frequency_terciles, language_metrics, mean_under
from lossbench.metrics.numbers import number_mae, number_values
from lossbench.ops import one_hot

TOP = 5


class LanguageModeling:
    batch: tuple[str, ...] = ("x", "targets", "ids")
    selection = ("nll", "lower")
    tokens = True  # *b is [B, T]

    def __init__(self, dataset: Dataset, device: torch.device, *, softcap: Annotated[float, Gt(0)] | None = None):
        targets = dataset.train.labels.get("targets")
        if targets is None or len(dataset.input_shape) != 1 or targets[0].ndim != 1:
            raise UsageError(
                "task=language_modeling reads tokens [T] with a target each, which this data set does not have. "
                "Choose a data set of tokens, such as dataset=shakespeare, or another task."
            )
        self._num_outputs = dataset.num_outputs
        self._class_counts = dataset.class_counts.to(device)
        self._terciles = frequency_terciles(dataset.class_counts).to(device)
        tokenizer = getattr(dataset, "tokenizer", None)
        lengths = None if tokenizer is None else tokenizer.token_bytes
        self._token_bytes = None if lengths is None or bool(lengths.isnan().any()) else lengths.to(device)
        self._entropy_rate = getattr(dataset, "entropy_rate", None)
        self._number_values = number_values(dataset).to(device)
        self._has_numbers = not bool(self._number_values.isnan().all())
        self._answers = "mask" in dataset.train.labels
        self._softcap = None if softcap is None else torch.tensor(float(softcap), device=device)

    # --- what the model gives

    def features(self, body: Callable, x: Tensor) -> Tensor:
        return body(x)

    def logits(self, head: Callable, features: Tensor) -> Tensor:
        logits = head(features)
        return logits if self._softcap is None else self._softcap * (logits / self._softcap).tanh()

    def head_weight(self, model_parameters: Mapping[str, Tensor]) -> Tensor:
        own = [name for name in model_parameters if name.startswith("head.")]
        if own == ["head.weight"]:
            return model_parameters["head.weight"]
        if not own and "body.embedding.weight" in model_parameters:  # a parameter has its first name only: tied
            return model_parameters["body.embedding.weight"]
        raise UsageError(
            "loss: it works on features and the head's weight, so the head must be one linear layer without bias; this "
            f"model's has {', '.join(own) or 'no parameters'}. Choose head=own with model=gpt, or loss=cross_entropy."
        )

    def token_embeddings(self, model_parameters: Mapping[str, Tensor]) -> Tensor:
        if "body.embedding.weight" not in model_parameters:
            raise UsageError("task: this model has no embedding of tokens. Choose model=gpt or model=encoder_decoder.")
        return model_parameters["body.embedding.weight"]

    def softcap(self) -> Tensor | None:
        return self._softcap

    # --- the labels

    def mask(self, targets: Tensor) -> Tensor:
        return torch.ones_like(targets, dtype=torch.bool)

    def labels(self, targets: Tensor) -> Tensor:
        return one_hot(targets, self._num_outputs)

    def class_counts(self) -> Tensor:
        return self._class_counts

    def number_values(self) -> Tensor:
        return self._number_values

    def token_uniforms(self, targets: Tensor, generator: Generator) -> Tensor:
        return torch.rand(targets.shape, generator=generator, device=targets.device)

    # --- of single tokens, for the metrics

    def log_normalizer(self, logits: Tensor) -> Tensor:
        return logits.float().logsumexp(-1)

    def target_log_p(self, logits: Tensor, targets: Tensor, log_normalizer: Tensor) -> Tensor:
        return logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1).float() - log_normalizer

    def target_rank(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (logits > logits.gather(-1, targets.unsqueeze(-1))).sum(-1)

    def confidence(self, logits: Tensor, log_normalizer: Tensor) -> Tensor:
        return (logits.amax(-1).float() - log_normalizer).exp()

    def predicted(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)

    def correct(self, predicted: Tensor, targets: Tensor) -> Tensor:
        return predicted == targets

    def predictive_entropy(self, logits: Tensor, log_normalizer: Tensor) -> Tensor:
        logits = logits.float()
        p = (logits - log_normalizer.unsqueeze(-1)).exp()
        return log_normalizer - (p * logits).sum(-1)

    def metrics(
        self,
        target_log_p: Tensor,
        confidence: Tensor,
        correct: Tensor,
        predictive_entropy: Tensor,
        targets: Tensor,
        mask: Tensor,
        predicted: Tensor | None = None,
        target_rank: Tensor | None = None,
    ) -> dict[str, Tensor]:
        values = language_metrics(
            target_log_p,
            confidence,
            correct,
            predictive_entropy,
            targets,
            mask,
            predicted,
            token_bytes=self._token_bytes,
            terciles=self._terciles,
            entropy_rate=self._entropy_rate,
        )
        if target_rank is not None and self._num_outputs > TOP:
            among = mean_under(target_rank < TOP, mask)
            values["top5_accuracy"] = torch.where(values["nll"].isfinite(), among, torch.nan)
        if self._answers:
            values |= pass_at(target_log_p, mask)
            if predicted is not None and self._has_numbers:
                off = number_mae(predicted, targets, mask, self._number_values)
                values["number_mae"] = torch.where(values["nll"].isfinite(), off, torch.nan)
        return values
