"""Token diffusion: the tokens of a block, of which some are hidden, from the others; the first one is given.

Batch       x [B, T] token indices, targets [B, T] the token after each, as in language_modeling; the model reads the
            first input and then the targets, hidden ones as the token C: model=denoiser
Noise       the level t of an example is uniform, and each of its targets is hidden with probability t
Metrics     nll, a bound from above of the nats per token that language_modeling measures of the same tokens: of each
            example a number of tokens from 1 to T is hidden, and the cross-entropy of the hidden ones averaged; eight
            numbers an example, spread evenly, with the same draws in every evaluation; perplexity, its exponential;
            denoising_accuracy of the hidden ones
Paper       Ni et al. 2025, arXiv:2511.03276; the bound by numbers of tokens: Nie et al. 2025, arXiv:2502.09992
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.metrics.ranking import precise

LEAST = 1e-3  # noise level: below it hardly anything is hidden, and what is weighs thousands
DRAWS = 8


class TokenDiffusion:
    batch: tuple[str, ...] = ("x", "targets", "ids")
    selection = ("nll", "lower")
    tokens = True  # *b is [B, T]
    masked = False  # whether some tokens do not count

    def __init__(self, dataset: Dataset, device: torch.device):
        targets = dataset.train.labels.get("targets")
        if targets is None or len(dataset.input_shape) != 1 or ("mask" in dataset.train.labels and not self.masked):
            raise UsageError(
                "task=token_diffusion reads whole blocks of tokens, which this data set does not have. Choose a data "
                "set of text, such as dataset=shakespeare, or another task."
            )
        self._hidden_token = dataset.num_outputs
        length = dataset.input_shape[0]
        draw = Generator().manual_seed(0)
        self._places = torch.rand((DRAWS, 64, length), generator=draw).to(device)
        self._offsets = torch.rand((64, 1), generator=draw).to(device)

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        """One token more than the data set's blocks: the first input, then all targets."""
        return (dataset.input_shape[0] + 1, *dataset.input_shape[1:]), dataset.num_outputs

    # --- the noise of a step

    def diffusion_noise(self, targets: Tensor, generator: Generator) -> Tensor:
        """[B, T + 1] uniform: the level, then one for each token."""
        return torch.rand((len(targets), targets.shape[1] + 1), generator=generator, device=targets.device)

    def noise_level(self, diffusion_noise: Tensor) -> Tensor:
        return LEAST + (1 - LEAST) * diffusion_noise[:, 0]

    def hidden(self, diffusion_noise: Tensor, noise_level: Tensor) -> Tensor:
        return diffusion_noise[:, 1:] < noise_level.unsqueeze(1)

    # --- what the model gives

    def denoised_logits(self, body: Callable, head: Callable, x: Tensor, targets: Tensor, hidden: Tensor) -> Tensor:
        shown = torch.where(hidden, self._hidden_token, targets.long())
        return head(body(torch.cat([x[:, :1].long(), shown], 1)))[:, 1:]

    def bound(self, body: Callable, head: Callable, x: Tensor, targets: Tensor) -> Tensor:
        """[B, DRAWS, 2] for each draw of hidden tokens their mean cross-entropy, and which part is right."""
        length = targets.shape[1]
        rows = torch.arange(len(targets), device=x.device) % len(self._offsets)
        found = []
        for draw in range(DRAWS):
            # Numbers from 1 to T, each as likely: an even spread over the draws of an example, shifted from row to row.
            number = ((self._offsets[rows] + draw / DRAWS).remainder(1) * length).long() + 1
            order = self._places[draw, rows].argsort(1).argsort(1)
            hidden = order < number
            logits = self.denoised_logits(body, head, x, targets, hidden).float()
            nll = -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
            right = logits.argmax(-1) == targets
            found.append(torch.stack([(v * hidden).sum(1) / number.squeeze(1) for v in (nll, right)], 1))
        return torch.stack(found, 1)

    def metrics(self, bound: Tensor) -> dict[str, Tensor]:
        nll, right = precise(bound).mean((0, 1)).unbind()
        return {"nll": nll, "perplexity": nll.exp(), "denoising_accuracy": torch.where(nll.isfinite(), right, nll)}
