"""Set generation: the answer is a set, so every order of its elements is right.

Batch       as in generation; the elements of an answer differ, and a full stop ends them
softcap     as in language_modeling
base        as in generation
search      how the order that a loss asks for as ``ordered_targets`` comes about, element by element: model: in
            proportion to the model's probabilities of the elements that are left; uniform: all alike
warm_up     part of the training budget in which the orders are uniform in any case
Metrics     as in generation; output_set_accuracy looks at the set only
Paper       Vinyals et al. 2015, arXiv:1511.06391, whose first 1000 steps have uniform orders
"""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from annotated_types import Gt, Interval
from torch import Generator, Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.generation import Generation

TINY = 1e-30


class SetGeneration(Generation):
    selection = ("output_set_accuracy", "higher")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        softcap: Annotated[float, Gt(0)] | None = None,
        base: nn.Module | None = None,
        search: Literal["model", "uniform"] = "model",
        warm_up: Annotated[float, Interval(ge=0, le=1)] = 0.2,
    ):
        super().__init__(dataset, device, softcap=softcap, base=base)
        targets = dataset.train.labels["targets"]
        if self._end is None or (targets[:, -1] != self._end).any():
            raise UsageError(
                "task=set_generation needs answers that a full stop ends. Choose dataset=key_symbols, or "
                "task=generation."
            )
        self._search, self._warm_up = search, warm_up

    def order_noise(self, targets: Tensor, generator: Generator) -> Tensor:
        """Uniform, for every place and every token that might stand there."""
        shape = (*targets.shape, self._num_outputs)
        return torch.rand(shape, generator=generator, device=targets.device)

    def ordered_targets(
        self, body: Callable, head: Callable, x: Tensor, targets: Tensor, order_noise: Tensor, progress: Tensor
    ) -> Tensor:
        end = self._end
        assert end is not None
        answers = targets[:, self._source :]
        tokens = torch.arange(self._num_outputs, device=x.device)
        left = (answers.unsqueeze(-1) == tokens).any(1) & (tokens != end)  # [B, C]
        gumbel = -(-order_noise.clamp(min=TINY).log()).clamp(min=TINY).log()
        uniform = torch.as_tensor(progress, device=x.device) < self._warm_up
        given = x[:, : self._source + 1].long()
        with torch.no_grad():
            for place in range(self._source, x.shape[1]):
                scores = gumbel[:, place]
                if (
                    self._search == "model"
                ):  # before the warm-up is over too: a branch on a tensor would wait for the device
                    filled = torch.nn.functional.pad(given, (0, x.shape[1] - given.shape[1]))
                    logits = self.logits(head, self.features(body, filled))[:, place].float()
                    scores = scores + torch.where(uniform, 0.0, logits)
                # The largest of Gumbel noise plus logits is a draw in proportion to their exponentials.
                drawn = torch.where(left.any(1), scores.masked_fill(~left, -torch.inf).argmax(1), end)
                given = torch.cat([given, drawn.unsqueeze(1)], 1)
                left = left & (tokens != drawn.unsqueeze(1))
        return torch.cat([targets[:, : self._source], given[:, self._source + 1 :]], 1)

    def ordered_logits(self, body: Callable, head: Callable, x: Tensor, ordered_targets: Tensor) -> Tensor:
        inputs = torch.cat([x[:, : self._source + 1].long(), ordered_targets[:, self._source : -1]], 1)
        return self.logits(head, self.features(body, inputs))
