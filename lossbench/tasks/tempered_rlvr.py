"""Reinforcement learning with verifiable rewards that holds the policy's entropy at a level (AEPO).

As task rlvr. But for each batch of prompts there are as many further completions, sampled at another temperature: a
higher one where the entropy of the policy is not above the target, a lower one where it is. Of these, the ones whose
advantage is more than 0.05 can take the place of the policy's own, with an advantage of 1: what is right and has been
found at a high temperature raises the entropy, what is right and has been found at a low one lowers it.

    H <= target   up to share B R of the own completions are replaced        H > target   half as many as could be

H is the mean over the tokens of the policy's own completions, whose rewards are the word ``rewards``: what leaves out
prompts with equal rewards leaves out what has been replaced there. Log-probabilities are those at the task's
temperature, for all completions. Advantages of own completions are those among the own, replaced or not.

Batch       as of rlvr        reference, completions, temperature, parts, passes, samples   as of rlvr
target      > 0, of the entropy of a token, in nats
hotter      >= 1; colder: in (0, 1]: factors of the temperature
share       in [0, 1] of the completions that may be replaced; 0 is rlvr
Metrics     those of rlvr, and entropy_error: |entropy - target| / target
Paper       Wang et al. 2025, arXiv:2510.08141
Differs     known from the authors' code, as is 0.05. There, a further completion replaces one of another prompt, the
            first ones of the batch; here the one of the same prompt and number, so that no prompt has more completions
            than others. There only a quarter of the prompts has further completions, and H is that of the last step
"""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Interval
from torch import Generator, Tensor, nn

from lossbench.advantages.group_normalized import group_normalized
from lossbench.datasets.dataset import Dataset
from lossbench.ops import masked_mean
from lossbench.tasks.rlvr import Rlvr

LEAST_ADVANTAGE = 0.05


class TemperedRlvr(Rlvr):
    collected: tuple[str, ...] = ("rollouts", "replaced", *Rlvr.collected[1:])

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
        target: Annotated[float, Gt(0)] = 0.5,
        hotter: Annotated[float, Ge(1)] = 1.5,
        colder: Annotated[float, Interval(gt=0, le=1)] = 0.7,
        share: Annotated[float, Interval(ge=0, le=1)] = 0.25,
    ):
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
        self._target, self._hotter, self._colder, self._share = target, hotter, colder, share

    # --- sampled once for a batch of prompts

    def tempered_sampling_uniforms(self, x: Tensor, generator: Generator) -> Tensor:
        return self.sampling_uniforms(x, generator)

    def own_rollouts(
        self, body: Any, head: Callable, x: Tensor, prompt_lengths: Tensor, sampling_uniforms: Tensor
    ) -> Tensor:
        """[B, R, P + C] at the task's temperature."""
        return self._completed(body, head, x, prompt_lengths, sampling_uniforms)

    def own_entropy(self, body: Callable, head: Callable, own_rollouts: Tensor, prompt_lengths: Tensor) -> Tensor:
        """[] mean over their tokens."""
        logits = self.logits(head, self.features(body, own_rollouts))
        return masked_mean(self.token_entropies(logits), self.mask(own_rollouts, prompt_lengths))

    def tempered_rollouts(
        self,
        body: Any,
        head: Callable,
        x: Tensor,
        prompt_lengths: Tensor,
        tempered_sampling_uniforms: Tensor,
        own_entropy: Tensor,
    ) -> Tensor:
        """[B, R, P + C] at the other temperature."""
        rises = (own_entropy <= self._target).to(own_entropy.dtype)
        factor = self._colder + rises * (self._hotter - self._colder)

        def tempered(features: Tensor) -> Tensor:
            return head(features) / factor

        return self._completed(body, tempered, x, prompt_lengths, tempered_sampling_uniforms)

    def tempered_rewards(self, tempered_rollouts: Tensor, prompt_lengths: Tensor, answers: Tensor) -> Tensor:
        return self._verified(tempered_rollouts, prompt_lengths, answers)

    def replaced(self, tempered_rewards: Tensor, own_entropy: Tensor) -> Tensor:
        """[B, R] which of the own completions give way."""
        good = group_normalized(tempered_rewards) > LEAST_ADVANTAGE
        most = int(self._share * good.numel() + 1e-4)
        number = good.sum().clamp(max=most)
        number = torch.where(own_entropy <= self._target, number, number // 2)
        place = good.flatten().cumsum(0).view(good.shape)  # from 1
        return good & (place <= number)

    def rollouts(self, own_rollouts: Tensor, tempered_rollouts: Tensor, replaced: Tensor) -> Tensor:  # type: ignore[override]
        return torch.where(replaced.unsqueeze(-1), tempered_rollouts, own_rollouts)

    def rewards(self, own_rollouts: Tensor, prompt_lengths: Tensor, answers: Tensor) -> Tensor:  # type: ignore[override]
        """Of the own completions: the others are not compared with them."""
        return self._verified(own_rollouts, prompt_lengths, answers)

    # --- at each step

    def advantages(self, completion_advantages: Tensor, replaced: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        made = torch.where(replaced, 1.0, completion_advantages.detach())
        return made.flatten().unsqueeze(1).expand_as(mask)

    # --- what is measured

    def metrics(
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
        return {**found, "entropy_error": (found["entropy"] - self._target).abs() / self._target}
