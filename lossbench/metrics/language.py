"""Metrics of language models, from quantities of single tokens: no logits of a whole split are kept.

Only tokens under the mask count; where it is all true, all do. Means are over tokens, so that a sequence counts by its
length. Sums are float64 (float32 on MPS). Nothing waits for the device. A quantity that is NaN or infinite anywhere
under the mask makes every metric NaN.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.metrics.classification import BINS
from lossbench.metrics.ranking import nan_unless, precise

QUARTERS = ("first", "second", "third", "last")
TERCILES = ("frequent", "middle", "rare")
WINDOW = 16  # tokens in which a repetition is looked for


def language_metrics(
    target_log_p: Float[Tensor, "N T"],
    confidence: Float[Tensor, "N T"],
    correct: Bool[Tensor, "N T"],
    predictive_entropy: Float[Tensor, "N T"],
    targets: Int[Tensor, "N T"],
    mask: Bool[Tensor, "N T"],
    predicted: Int[Tensor, "N T"] | None = None,
    *,
    token_bytes: Float[Tensor, "C"] | None = None,
    terciles: Int[Tensor, "C"] | None = None,
    entropy_rate: float | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """All metrics of a split by name, as 0-d tensors.

    target_log_p         log-probability of the target        confidence   probability of the likeliest token
    correct              whether that one is the target       predictive_entropy   of the model's distribution, in nats
    predicted            the likeliest token; None leaves repetition out
    token_bytes          bytes of text of each token; None leaves bits_per_byte out
    terciles             0, 1 or 2 for each token of the vocabulary, from ``frequency_terciles``
    entropy_rate         of the source in nats per token, where it is known
    Returns  nll (nats per token), perplexity, bits_per_byte, accuracy, sequence_accuracy, ece, predictive_entropy, nll
             by position (nll_first_quarter ...) and by frequency of the target (nll_frequent ...), nll_above_entropy,
             repetition, verbatim_rate, verbatim_tokens; NaN for what has no token
    """
    nll = mean_under(-target_log_p, mask)
    values = {
        "nll": nll,
        "perplexity": nll.exp(),
        "accuracy": mean_under(correct, mask),
        "sequence_accuracy": sequence_accuracy(correct, mask),
        "ece": token_ece(confidence, correct, mask),
        "predictive_entropy": mean_under(predictive_entropy, mask),
    }
    values["verbatim_rate"], values["verbatim_tokens"] = verbatim(correct, mask)
    if predicted is not None:
        values["repetition"] = repetition(predicted, targets, mask)
    if token_bytes is not None:
        values["bits_per_byte"] = bits_per_byte(target_log_p, targets, mask, token_bytes)
    if entropy_rate is not None:
        values["nll_above_entropy"] = nll - entropy_rate
    length = targets.shape[1]
    if length >= len(QUARTERS):
        quarter = torch.arange(length, device=targets.device) * len(QUARTERS) // length
        for place, name in enumerate(QUARTERS):
            values[f"nll_{name}_quarter"] = mean_under(-target_log_p, mask & (quarter == place))
    if terciles is not None:
        own = terciles[targets]
        for place, name in enumerate(TERCILES):
            values[f"nll_{name}"] = mean_under(-target_log_p, mask & (own == place))
    sound = torch.where(mask, target_log_p, 0.0).isfinite().all()
    return nan_unless(sound, values)


def mean_under(values: Tensor, mask: Bool[Tensor, "N T"]) -> Float[Tensor, ""]:
    """Mean where the mask is true; NaN where it nowhere is. Values elsewhere may be anything."""
    return torch.where(mask, precise(values), 0.0).sum() / mask.sum()


def sequence_accuracy(correct: Bool[Tensor, "N T"], mask: Bool[Tensor, "N T"]) -> Float[Tensor, ""]:
    """Part of the sequences of which every token is right, of those that have one."""
    there = mask.any(1)
    return (precise((correct | ~mask).all(1)) * there).sum() / there.sum()


def repetition(
    predicted: Int[Tensor, "N T"], targets: Int[Tensor, "N T"], mask: Bool[Tensor, "N T"], *, window: int = WINDOW
) -> Float[Tensor, ""]:
    """Part of the tokens where the likeliest token is wrong, and is one of the ``window`` tokens before.

    Source  Welleck et al. 2020, arXiv:1908.04319: wrep/16
    """
    again = torch.zeros_like(mask)
    for lag in range(1, min(window, targets.shape[1] - 1) + 1):
        same = predicted[:, lag:] == targets[:, :-lag]
        again = again | torch.cat([torch.zeros_like(again[:, :lag]), same], 1)
    return mean_under(again & (predicted != targets), mask)


def verbatim(correct: Bool[Tensor, "N T"], mask: Bool[Tensor, "N T"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """What greedy decoding from the first half of a sequence repeats of its second half.

    Decoding leaves the sequence at the first token that is not the likeliest after the right ones before it, so nothing
    has to be decoded.
    Returns  part of the sequences whose second half is repeated to the end; mean number of tokens until the first
             other one. Sequences of which no token counts there are left out
    """
    half = correct.shape[1] // 2
    counts = mask[:, half:]
    right = (correct[:, half:] | ~counts).long().cumprod(1).bool()
    there = counts.any(1)
    whole = precise(right[:, -1] & there).sum() / there.sum()
    return whole, precise(right & counts).sum() / there.sum()


def bits_per_byte(
    target_log_p: Float[Tensor, "N T"],
    targets: Int[Tensor, "N T"],
    mask: Bool[Tensor, "N T"],
    token_bytes: Float[Tensor, "C"],
) -> Float[Tensor, ""]:
    """Sum of the losses in bits over the sum of the bytes that the targets stand for: the same whatever the tokens are.

    Special tokens, of 0 bytes, add their loss; NaN where a token's bytes are not known.
    """
    bits = torch.where(mask, precise(-target_log_p), 0.0).sum() / math.log(2)
    return bits / torch.where(mask, precise(token_bytes[targets]), 0.0).sum()


def token_ece(
    confidence: Float[Tensor, "N T"], correct: Bool[Tensor, "N T"], mask: Bool[Tensor, "N T"], *, num_bins: int = BINS
) -> Float[Tensor, ""]:
    """Expected calibration error over bins of equal width, as ``classification.ece``, of the tokens under the mask."""
    confidence = precise(confidence)
    bins = (confidence * num_bins).ceil().clamp(1, num_bins)
    gap = torch.where(mask, precise(correct) - confidence, 0.0)
    # Bin by bin, and not with an axis of bins: a split has many more tokens than one of images has examples.
    errors = [torch.where(bins == place, gap, 0.0).sum().abs() for place in range(1, num_bins + 1)]
    return torch.stack(errors).sum() / mask.sum()


def frequency_terciles(counts: Float[Tensor, "C"]) -> Int[Tensor, "C"]:
    """0 for the most frequent tokens, which make up a third of the text, 1 for those of the next third, 2 for the rest.

    A token belongs where the middle of its own share falls, in the order of falling counts.
    """
    counts = precise(counts)
    ordered, order = counts.sort(descending=True, stable=True)
    middle = (ordered.cumsum(0) - ordered / 2) / counts.sum()
    place = (middle * len(TERCILES)).long().clamp(max=len(TERCILES) - 1)
    return torch.empty_like(place).scatter_(0, order, place)
