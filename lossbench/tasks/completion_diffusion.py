"""Completion diffusion: the tokens of a completion, of which some are hidden, from the others and the prompt.

token_diffusion for data with a mask: only tokens that the mask counts are hidden, and measured. It is what a reference
for task=diffusion_preference learns before.

Batch       x [B, T], targets [B, T], mask [B, T], as in language_modeling; model=denoiser
Metrics     those of token_diffusion, per token of a completion
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.token_diffusion import DRAWS, TokenDiffusion


class CompletionDiffusion(TokenDiffusion):
    batch = ("x", "targets", "mask", "ids")
    masked = True

    def __init__(self, dataset: Dataset, device: torch.device):
        if "mask" not in dataset.train.labels or len(dataset.input_shape) != 1:
            raise UsageError(
                "task=completion_diffusion hides the tokens of completions, which this data set does not tell from "
                "prompts. Choose variant=[completions] of a data set of preferences, or task=token_diffusion."
            )
        super().__init__(dataset, device)

    def hidden(self, diffusion_noise: Tensor, noise_level: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        return super().hidden(diffusion_noise, noise_level) & mask

    def bound(  # type: ignore[override]
        self, body: Callable, head: Callable, x: Tensor, targets: Tensor, mask: Tensor
    ) -> Tensor:
        """[B, DRAWS, 2] for each draw of hidden tokens their mean cross-entropy, and which part is right."""
        rows = torch.arange(len(targets), device=x.device) % len(self._offsets)
        found = []
        for draw in range(DRAWS):
            parts = (self._offsets[rows] + draw / DRAWS).remainder(1)
            hidden = hidden_tokens(parts, self._places[draw, rows], mask)
            logits = self.denoised_logits(body, head, x, targets, hidden).float()
            nll = -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
            right = logits.argmax(-1) == targets
            number = hidden.sum(1).clamp(min=1)
            found.append(torch.stack([torch.where(hidden, v, 0.0).sum(1) / number for v in (nll, right)], 1))
        return torch.stack(found, 1)


def hidden_tokens(parts: Tensor, places: Tensor, mask: Tensor) -> Tensor:
    """[*, T] of the tokens that count, a number from 1 to all of them, each number as likely; which ones is random too.

    parts    [*, 1] uniform, from which the number follows        places   [*, T] uniform, which come first
    mask     [*, T] true where a token counts
    """
    number = (parts * mask.sum(-1, keepdim=True)).long() + 1
    order = torch.where(mask, places, torch.inf).argsort(-1).argsort(-1)
    return (order < number) & mask
