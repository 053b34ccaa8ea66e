"""Reinforcement learning with verifiable rewards from prompts that begin with a picture, some of which can be hidden.

As task rlvr. For losses that want a policy to look, there is what it says of its own completions where a part of the
picture is hidden: once for each batch of samples, with the weights of that moment, without gradient.

Batch        as of rlvr, of a data set whose prompts have a picture (dataset=digit_prompts)
reference, completions, temperature, parts, passes, samples   as of rlvr
hidden_part  in [0, 1], how likely each token of the picture is hidden, drawn for every completion
Metrics      those of rlvr, and blind_reward: of completions without any of the picture
"""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Interval
from torch import Generator, Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.datasets.digit_prompts import PictureDataset
from lossbench.errors import UsageError
from lossbench.metrics.ranking import precise
from lossbench.tasks.rlvr import Rlvr, _logps


class PictureRlvr(Rlvr):
    collected: tuple[str, ...] = (*Rlvr.collected, "rollout_masked_logps")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        reference: nn.Module,
        completions: Annotated[int, Ge(1)] = 8,
        temperature: Annotated[float, Gt(0)] = 1.0,
        parts: Annotated[int, Ge(1)] = 1,
        passes: Annotated[int, Ge(1)] = 1,
        samples: Annotated[int, Ge(1)] = 8,
        hidden_part: Annotated[float, Interval(ge=0, le=1)] = 0.6,
    ):
        if not isinstance(dataset, PictureDataset):
            raise UsageError(
                "task=picture_rlvr hides a part of a picture, which the prompts of this data set do not have. Choose "
                "dataset=digit_prompts, or task=rlvr."
            )
        super().__init__(
            dataset,
            device,
            reference=reference,
            completions=completions,
            temperature=temperature,
            parts=parts,
            passes=passes,
            samples=samples,
        )
        self._picture_length, self._hidden, self._hidden_part = dataset.picture_length, dataset.hidden, hidden_part

    def hiding_uniforms(self, x: Tensor, generator: Generator) -> Tensor:
        shape = (len(x), self._completions, self._picture_length)
        return torch.rand(shape, generator=generator, device=x.device)

    def masked_rollouts(self, rollouts: Tensor, hiding_uniforms: Tensor) -> Tensor:
        """[B, R, P + C] the rollouts with a part of the picture hidden."""
        return self._without(rollouts, hiding_uniforms < self._hidden_part)

    def rollout_masked_logps(
        self, body: Callable, head: Callable, masked_rollouts: Tensor, rollouts: Tensor, mask: Tensor
    ) -> Tensor:
        logits = self.logits(head, self.features(body, masked_rollouts))
        return self._by_prompt(_logps(logits, rollouts, mask))

    def masked_token_logps(self, rollout_masked_logps: Tensor) -> Tensor:
        return rollout_masked_logps.flatten(0, 1)

    def blind_rewards(
        self, body: Any, head: Callable, x: Tensor, prompt_lengths: Tensor, answers: Tensor, ids: Tensor
    ) -> Tensor:
        everything = torch.ones(len(x), self._picture_length, dtype=torch.bool, device=x.device)
        return self._verified(
            self.samples(body, head, self._without(x, everything), prompt_lengths, ids), prompt_lengths, answers
        )

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        sample_rewards: Tensor,
        sample_lengths: Tensor,
        sample_finished: Tensor,
        sample_entropies: Tensor,
        sample_kl: Tensor,
        sample_tokens: Tensor,
        x: Tensor,
        prompt_lengths: Tensor,
        answers: Tensor,
        blind_rewards: Tensor,
    ) -> dict[str, Tensor]:
        found = super().metrics(
            sample_rewards,
            sample_lengths,
            sample_finished,
            sample_entropies,
            sample_kl,
            sample_tokens,
            x,
            prompt_lengths,
            answers,
        )
        return {**found, "blind_reward": precise(blind_rewards).mean()}

    def _without(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        picture, text = tokens[..., : self._picture_length], tokens[..., self._picture_length :]
        return torch.cat([picture.masked_fill(hidden, self._hidden), text], -1)
