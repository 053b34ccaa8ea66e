"""Reinforcement learning with verifiable rewards: a policy learns from what a verifier says of its own completions.

Once for every batch of prompts the policy of that moment samples completions of each, and the data set's verifier
rewards them. advantage=... says how much better each is than could be expected, the loss what to do about it; then come
``passes`` times ``parts`` optimizer steps on these samples. GRPO, DAPO and their relatives are combinations: recipe=...

Batch       x [B, P] prompts, padded behind, prompt_lengths [B], answers [B, A] for the verifier, ids [B]. What is
            sampled for them is [B, R, ...] and flat, [B R, T], for the loss: the place of a token is where it is
            predicted, so that mask is true from the last token of the prompt to the one before the end token
reference   the policy to start from, which stays as the reference: a folder, or {train: [overrides]}; the same model
completions   R of each prompt
temperature   divides the logits, of samples as of log-probabilities
parts         optimizer steps that share a batch of samples, each with other prompts: batch_size is that of one of them
passes        times that they go over it
Metrics     of ``samples`` completions of each held-out prompt: reward, pass_at_1, pass_at_2 ... (unbiased), length,
            finished (part that ends in time), entropy (of a token), kl (to the reference, of a completion); see
            lossbench/metrics/verification.py. The random numbers behind the samples are the same at every evaluation.
            At the end, of the test split, also what the policy began with, start_reward and start_pass_at_<k>, and how
            its solutions have changed; see lossbench/metrics/support.py
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Generator, Tensor, nn

from lossbench import seeds
from lossbench.advantages.group_normalized import group_normalized
from lossbench.datasets.dataset import Dataset
from lossbench.datasets.prompts import PromptDataset
from lossbench.errors import UsageError
from lossbench.metrics.support import support_metrics
from lossbench.metrics.verification import reward_metrics, verification_metrics
from lossbench.objective import upcast
from lossbench.ops import kl_divergence, masked_mean, target_logps
from lossbench.tasks.rollouts import completed

TABLE = 1024  # held-out prompts with random numbers of their own
AT_ONCE = 8192  # completions that the reference writes at once at the end: bounds the memory


class Rlvr:
    batch: tuple[str, ...] = ("x", "prompt_lengths", "answers", "ids")
    selection = ("reward", "higher")
    tokens = True
    same_model = ("reference",)
    collected: tuple[str, ...] = (
        "rollouts",
        "rewards",
        "ref_rewards",
        "rollout_logps",
        "rollout_entropies",
        "rollout_ref_logps",
    )

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
    ):
        prompts = _prompts(dataset)
        self.start = reference  # what the policy begins as: the engine copies it
        self._reference: Any = reference.requires_grad_(False).eval().to(device)
        self._verifier, self._end, self._most = prompts.verifier, prompts.end, prompts.completion_length
        self._completions, self._temperature = completions, temperature
        self._longest = prompts.input_shape[0]
        shape = (TABLE, samples, self._longest + self._most)
        self._uniforms = torch.rand(shape, generator=seeds.generator(0, "evaluation samples")).to(device)
        self._samples = samples

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int], int]:
        """((T,), size of the vocabulary): the longest prompt with the longest completion, without its last token."""
        prompts = _prompts(dataset)
        return (prompts.input_shape[0] + prompts.completion_length - 1,), prompts.num_outputs

    # --- sampled once for a batch of prompts

    def sampling_uniforms(self, x: Tensor, generator: Generator) -> Tensor:
        shape = (len(x), self._completions, self._longest + self._most)
        return torch.rand(shape, generator=generator, device=x.device)

    def ref_sampling_uniforms(self, x: Tensor, generator: Generator) -> Tensor:
        return self.sampling_uniforms(x, generator)

    def rollouts(
        self, body: Any, head: Callable, x: Tensor, prompt_lengths: Tensor, sampling_uniforms: Tensor
    ) -> Tensor:
        """[B, R, P + C] tokens of prompts and completions, then the end token."""
        return self._completed(body, head, x, prompt_lengths, sampling_uniforms)

    def rewards(self, rollouts: Tensor, prompt_lengths: Tensor, answers: Tensor) -> Tensor:
        return self._verified(rollouts, prompt_lengths, answers)

    def ref_rewards(self, x: Tensor, prompt_lengths: Tensor, ref_sampling_uniforms: Tensor, answers: Tensor) -> Tensor:
        own = self._reference
        rollouts = self._completed(own.body, own.head, x, prompt_lengths, ref_sampling_uniforms)
        return self._verified(rollouts, prompt_lengths, answers)

    def rollout_logps(self, token_logps: Tensor) -> Tensor:
        return self._by_prompt(token_logps)

    def rollout_entropies(self, token_entropies: Tensor) -> Tensor:
        return self._by_prompt(token_entropies)

    def rollout_ref_logps(self, rollouts: Tensor, mask: Tensor) -> Tensor:
        return self._by_prompt(_logps(self._ref_logits(rollouts), rollouts, mask))

    # --- at each step

    def features(self, body: Callable, rollouts: Tensor) -> Tensor:
        return body(rollouts.flatten(0, 1)[:, :-1])

    def logits(self, head: Callable, features: Tensor) -> Tensor:
        return upcast(head(features)) / self._temperature

    def mask(self, rollouts: Tensor, prompt_lengths: Tensor) -> Tensor:
        return self._counts(rollouts, prompt_lengths).flatten(0, 1)

    def token_logps(self, logits: Tensor, rollouts: Tensor, mask: Tensor) -> Tensor:
        return _logps(logits, rollouts, mask)

    def token_entropies(self, logits: Tensor) -> Tensor:
        return _entropies(logits)

    def old_token_logps(self, rollout_logps: Tensor) -> Tensor:
        return rollout_logps.flatten(0, 1)

    def old_token_entropies(self, rollout_entropies: Tensor) -> Tensor:
        return rollout_entropies.flatten(0, 1)

    def ref_token_logps(self, rollout_ref_logps: Tensor) -> Tensor:
        return rollout_ref_logps.flatten(0, 1)

    def rollout_uniforms(self, rollouts: Tensor, generator: Generator) -> Tensor:
        shape = (*rollouts.shape[:2], rollouts.shape[2] - 1)
        return torch.rand(shape, generator=generator, device=rollouts.device)

    def token_uniforms(self, rollout_uniforms: Tensor) -> Tensor:
        return rollout_uniforms.flatten(0, 1)

    def completion_lengths(self, mask: Tensor) -> Tensor:
        return self._by_prompt(mask).sum(-1).float()

    def completion_entropies(self, rollout_entropies: Tensor, mask: Tensor) -> Tensor:
        return masked_mean(rollout_entropies, self._by_prompt(mask), dim=-1)

    def rollout_tokens(self, rollouts: Tensor) -> Tensor:
        return rollouts[..., 1:]

    def rollout_mask(self, rollouts: Tensor, prompt_lengths: Tensor) -> Tensor:
        return self._counts(rollouts, prompt_lengths)

    def completion_tokens(self, rollouts: Tensor, prompt_lengths: Tensor) -> Tensor:
        return self._behind(rollouts, prompt_lengths)

    def completion_advantages(self, rewards: Tensor) -> Tensor:
        return group_normalized(rewards)

    def advantages(self, completion_advantages: Tensor, mask: Tensor) -> Tensor:
        return completion_advantages.detach().flatten().unsqueeze(1).expand_as(mask)

    # --- what is measured: samples for held-out prompts

    def samples(self, body: Any, head: Callable, x: Tensor, prompt_lengths: Tensor, ids: Tensor) -> Tensor:
        """[B, S, P + C]"""
        return self._completed(body, head, x, prompt_lengths, self._uniforms[ids % TABLE])

    def sample_mask(self, samples: Tensor, prompt_lengths: Tensor) -> Tensor:
        return self._counts(samples, prompt_lengths)

    def sample_logits(self, body: Callable, head: Callable, samples: Tensor) -> Tensor:
        return self.logits(head, self.features(body, samples))

    def sample_tokens(self, samples: Tensor, prompt_lengths: Tensor) -> Tensor:
        """[B, S, C] the completions alone."""
        return self._behind(samples, prompt_lengths)

    def sample_rewards(self, samples: Tensor, prompt_lengths: Tensor, answers: Tensor) -> Tensor:
        return self._verified(samples, prompt_lengths, answers)

    def sample_lengths(self, sample_mask: Tensor) -> Tensor:
        return sample_mask.sum(-1)

    def sample_finished(self, samples: Tensor) -> Tensor:
        return samples[..., -1] == self._end

    def sample_entropies(self, sample_logits: Tensor, sample_mask: Tensor) -> Tensor:
        """[B, S] sum over the tokens of a completion."""
        return torch.where(sample_mask, _entropies(sample_logits).view(sample_mask.shape), 0).sum(-1)

    def sample_kl(self, sample_logits: Tensor, samples: Tensor, sample_mask: Tensor) -> Tensor:
        """[B, S] sum over the tokens of a completion: KL(policy || reference) of the next token, exactly. Its mean over
        samples is the KL of completions, and varies less than the mean of log-ratios."""
        log_p, log_q = sample_logits.log_softmax(-1), self._ref_logits(samples).log_softmax(-1)
        return torch.where(sample_mask, kl_divergence(log_p, log_q).view(sample_mask.shape), 0).sum(-1)

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
        """Of the last four nothing is said here: they are for test_metrics."""
        return verification_metrics(sample_rewards, sample_lengths, sample_finished, sample_entropies, sample_kl)

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        test = splits["test"]
        x, lengths, own = test["x"], test["prompt_lengths"], self._reference
        draws = seeds.generator(0, "evaluation samples of the reference")  # independent of the policy's
        shape = (self._samples, self._longest + self._most)
        parts = []
        for some, of_each in zip(*(t.split(max(AT_ONCE // self._samples, 1)) for t in (x, lengths)), strict=True):
            uniforms = torch.rand((len(some), *shape), generator=draws).to(some.device)
            parts.append(self._completed(own.body, own.head, some, of_each, uniforms))
        written = torch.cat(parts)
        rewards = self._verified(written, lengths, test["answers"])
        found = {f"start_{name}": value for name, value in reward_metrics(rewards).items()}
        tokens = self._behind(written, lengths)
        return found | support_metrics(test["sample_tokens"], test["sample_rewards"] >= 1, tokens, rewards >= 1)

    # ---

    def _by_prompt(self, values: Tensor) -> Tensor:
        return values.unflatten(0, (-1, self._completions))

    def _completed(self, body: Any, head: Callable, x: Tensor, prompt_lengths: Tensor, uniforms: Tensor) -> Tensor:
        number = uniforms.shape[1]
        rows = completed(
            body,
            lambda features: self.logits(head, features),
            x.repeat_interleave(number, 0),
            prompt_lengths.repeat_interleave(number, 0),
            uniforms.flatten(0, 1),
            end=self._end,
            most=self._most,
        )
        return rows.unflatten(0, (-1, number))

    def _behind(self, rollouts: Tensor, prompt_lengths: Tensor) -> Tensor:
        """[B, R, C] the completions alone."""
        places = prompt_lengths[:, None, None] + torch.arange(self._most, device=rollouts.device)
        return rollouts.gather(-1, places.expand(-1, rollouts.shape[1], -1))

    def _verified(self, rollouts: Tensor, prompt_lengths: Tensor, answers: Tensor) -> Tensor:
        number = rollouts.shape[1]
        found = self._verifier(
            self._behind(rollouts, prompt_lengths).flatten(0, 1), answers.repeat_interleave(number, 0)
        )
        return found.view(-1, number)

    def _counts(self, rollouts: Tensor, prompt_lengths: Tensor) -> Tensor:
        """[B, R, T] true where the token after a place is the completion's, its end token included."""
        places = torch.arange(1, rollouts.shape[-1], device=rollouts.device)
        inside = (places >= prompt_lengths[:, None, None]) & (places < prompt_lengths[:, None, None] + self._most)
        ends = inside & (rollouts[..., 1:] == self._end)
        return inside & (ends.cumsum(-1) - ends.long() == 0)

    def _ref_logits(self, rollouts: Tensor) -> Tensor:
        with torch.no_grad():
            return upcast(self._reference(rollouts.flatten(0, 1)[:, :-1])) / self._temperature


def _prompts(dataset: Dataset) -> PromptDataset:
    if not isinstance(dataset, PromptDataset):
        raise UsageError(
            "task=rlvr needs prompts with a verifier, which this data set does not have. Choose one such as "
            "dataset=sorting_prompts, or another task."
        )
    return dataset


def _logps(logits: Tensor, rollouts: Tensor, mask: Tensor) -> Tensor:
    """[B R, T] log-probability of the token after each place, 0 where it does not count."""
    return target_logps(logits, rollouts.flatten(0, 1)[:, 1:], mask)


def _entropies(logits: Tensor) -> Tensor:
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)
