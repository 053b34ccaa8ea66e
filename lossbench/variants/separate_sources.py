"""Separate sources: chosen and rejected completions come from a distribution each, and nobody compares them.

    p_chosen(y | x) ~ p(y | x) exp(chosen_tilt r(x, y))        p_rejected(y | x) ~ p(y | x) exp(rejected_tilt r(x, y))

p and r: the distribution and the reward of the data set. For such pairs the label follows a Bradley-Terry model whose
reward is log p_chosen - log p_rejected, that is (chosen_tilt - rejected_tilt) r. The optimum of DPO is then the target
p exp(r) exactly where chosen_tilt - rejected_tilt = beta, for a reference that is p. All splits.

chosen_tilt, rejected_tilt   how much more likely a higher reward is than under p
Paper   Won et al. 2025, arXiv:2505.23761, theorem 3.3 and the distribution of rejected completions that follows from it
"""

from dataclasses import replace

import torch
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split
from lossbench.datasets.preferences import PreferenceDataset, split_of_indices
from lossbench.errors import UsageError


def separate_sources(
    dataset: Dataset, generator: Generator, *, chosen_tilt: float = 0.0, rejected_tilt: float = -0.1
) -> PreferenceDataset:
    """generator draws the completions."""
    truth = getattr(dataset, "truth", None)
    if not isinstance(dataset, PreferenceDataset) or truth is None or dataset.input_shape[0] != 2:
        raise UsageError(
            "variant=separate_sources needs pairs and all completions with their rewards. Choose dataset=bradley_terry "
            "with dataset.completions=2."
        )
    sources = [(truth.log_p + tilt * truth.rewards).softmax(-1) for tilt in (chosen_tilt, rejected_tilt)]

    def made(split: Split) -> Split:
        asked = split.labels["prompt_ids"]
        drawn = [torch.multinomial(source[asked], 1, generator=generator) for source in sources]
        return split_of_indices(asked, torch.cat(drawn, 1), truth)

    splits = [made(split) for split in (dataset.train, dataset.validation, dataset.test)]
    return replace(dataset, train=splits[0], validation=splits[1], test=splits[2])
