"""Data sets of preferences: completions of prompts, ordered from the best to the worst.

inputs    x [n, R, T] token indices of R sequences, each a prompt and a completion; all but the last token
targets   [n, R, T] the token after each         mask   [n, R, T] true where the target is a token of the completion
labels    where the data have them: reward_margins [n]; desirable [n], of single completions (R = 1); prompt_ids [n],
          where all completions can be enumerated
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.tokenizers import Tokenizer


@dataclass(frozen=True)
class Truth:
    """Everything that can be known of data that were made: sums over all completions replace estimates.

    prompts      [P, S] all prompts, of S tokens each
    completions  [Y, L] all completions, in lexicographic order; they are the same for all prompts
    rewards      [P, Y] true reward of each, float64
    log_p        [P, Y] log-probability of each under the distribution that completions were drawn from, float64
    preferences  [P, Y, Y] probability that the one completion is preferred to the other, where it does not follow from
                 the rewards, float64; None: sigmoid of the difference of the rewards
    """

    prompts: Tensor
    completions: Tensor
    rewards: Tensor
    log_p: Tensor
    preferences: Tensor | None = None

    def preference_table(self) -> Tensor:
        """[P, Y, Y], whether it is given or follows from the rewards."""
        if self.preferences is not None:
            return self.preferences
        return (self.rewards.unsqueeze(-1) - self.rewards.unsqueeze(-2)).sigmoid()


@dataclass
class PreferenceDataset(Dataset):
    """num_outputs is the size of the vocabulary.

    tokenizer   of the tokens
    samples     sequences [n, T + 1], prompt and completion, of which the reference may learn, with the place of their
                first token that is a completion's; None: the completions of the training split serve for it
    truth       of synthetic data
    """

    tokenizer: Tokenizer | None = None
    samples: tuple[Tensor, int] | None = None
    truth: Truth | None = None


def split_of(rows: Tensor, starts: Tensor, stops: Tensor, labels: dict[str, Tensor]) -> Split:
    """The split of whole sequences.

    rows     [n, R, T + 1] tokens, padded behind
    starts   [n, R] place of the first token of the completion, at least 1        stops   [n, R] behind its last one
    """
    places = torch.arange(1, rows.shape[-1])
    mask = (places >= starts.unsqueeze(-1)) & (places < stops.unsqueeze(-1))
    return Split(rows[..., :-1].contiguous(), {"targets": rows[..., 1:].contiguous(), "mask": mask, **labels})


def all_sequences(num_symbols: int, length: int) -> Tensor:
    """[num_symbols ** length, length] in lexicographic order: sequence i has the digits of i."""
    return torch.tensor(list(itertools.product(range(num_symbols), repeat=length))).reshape(-1, length)


def indices_of(split: Split, truth: Truth) -> Tensor:
    """[n, R] which of the truth's completions the split's are; they begin where the prompt ends."""
    length = truth.completions.shape[1]
    base = round(len(truth.completions) ** (1 / length))
    return (split.labels["targets"][..., -length:].long() * base ** torch.arange(length - 1, -1, -1)).sum(-1)


def split_of_indices(asked: Tensor, indices: Tensor, truth: Truth) -> Split:
    """The split of the prompts ``asked`` [n] and of completions [n, R], both as places in the truth's lists."""
    prompts = truth.prompts[asked].unsqueeze(1).expand(-1, indices.shape[1], -1)
    rows = torch.cat([prompts, truth.completions[indices]], -1)
    starts = torch.full(indices.shape, truth.prompts.shape[1])
    margins = margins_of(truth.rewards[asked].gather(1, indices))
    return split_of(
        rows, starts, torch.full_like(starts, rows.shape[-1]), {"reward_margins": margins, "prompt_ids": asked}
    )


def margins_of(scores: Tensor) -> Tensor:
    """[n] the first score of each row [n, R] minus the last."""
    return (scores[:, 0] - scores[:, -1]).float()
