"""Online preference: the policy is compared with itself, by the true preferences between completions that it samples.

Once for every batch the policy of that moment ("old") samples completions of the prompts of the batch, and the true
preferences put them in order; then come ``passes`` times ``parts`` optimizer steps on them. Everything that losses of
task=preference take is of these completions. For losses that need no samples there are sums over all completions, and
the table of preferences; for those of task=rlvr the samples are there with their true rewards.

Batch       as in preference; of x, the prompts. The true preferences must be known (dataset=bradley_terry, with or
            without variant=[intransitive])
reference   as in preference
samples     completions of each prompt; losses on pairs see the best and the worst of them
labels      drawn: by preferences that are drawn at random, as the data's are; better: by the mean probability of being
            preferred to the others, without noise. Of more than two samples there is no order to draw where preferences
            do not come from rewards
parts       optimizer steps that share a batch of samples, each with other prompts: batch_size is that of one of them
passes      times that they go over it
beta        strength of the KL in the game whose regularized_exploitability is measured
Metrics     as in preference, on held-out pairs and over all completions; there reward and win_rate are those of the
            rewards, which with variant=[intransitive] are not all of it. preference_rate (true preference for the
            policy over the reference), exploitability and regularized_exploitability (see lossbench/games.py),
            prompt_repetition (part of the places at which completions of two prompts have the same symbol)
"""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Generator, Tensor, nn

from lossbench.advantages.group_normalized import group_normalized
from lossbench.datasets.dataset import Dataset
from lossbench.datasets.preferences import Truth
from lossbench.errors import UsageError
from lossbench.games import exploitability, preferred_to, regularized_exploitability
from lossbench.metrics.preference import divergence_metrics, policy_metrics, preference_metrics, target_divergences
from lossbench.metrics.ranking import precise
from lossbench.ops import target_logps
from lossbench.tasks.preference import Preference, _mismatched_logps

MOST_PREFERENCES = 2**24


class OnlinePreference(Preference):
    selection = ("preference_rate", "higher")
    tokens = True  # losses of reinforcement learning have a value for each token of a sample
    withheld = ("mask", "reward_margins")  # of the data's own completions
    collected = ("sampled_ranking", "old_enumerated_logps", "old_chosen_logps", "old_rejected_logps", "rollout_logps")

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        reference: nn.Module,
        samples: Annotated[int, Ge(1)] = 2,
        labels: Literal["drawn", "better"] = "drawn",
        parts: Annotated[int, Ge(1)] = 1,
        passes: Annotated[int, Ge(1)] = 1,
        beta: Annotated[float, Gt(0)] = 0.1,
    ):
        super().__init__(dataset, device, reference=reference)
        truth: Truth | None = getattr(dataset, "truth", None)
        if truth is None or "desirable" in dataset.train.labels:
            raise UsageError(
                "task=online_preference orders what the policy has sampled, by true preferences, which this data set "
                "does not have. Choose dataset=bradley_terry, without variant=[unpaired]."
            )
        if len(truth.rewards) * truth.rewards.shape[1] ** 2 > MOST_PREFERENCES:
            raise UsageError(
                f"task=online_preference: {len(truth.rewards)} prompts with {truth.rewards.shape[1]} completions have "
                f"more than {MOST_PREFERENCES} preferences. Give fewer dataset.num_symbols, or a shorter "
                "dataset.completion_length."
            )
        if samples > 2 and labels == "drawn" and truth.preferences is not None:
            raise UsageError(
                f"task.samples={samples}: no order can be drawn of more than two completions whose preferences do not "
                "come from rewards. Give task.samples=2, or task.labels=better."
            )
        self._table = truth.preference_table().to(device, self._rewards.dtype)
        self._prompts, self._completions = truth.prompts.to(device), truth.completions.to(device)
        self._samples, self._labels, self._beta = samples, labels, beta
        symbols = torch.arange(dataset.num_outputs, device=device)
        self._symbols = (self._completions.unsqueeze(-1) == symbols).to(self._rewards.dtype)  # [Y, L, C]

    # --- sampled once for a batch

    def sampling_uniforms(self, prompt_ids: Tensor, generator: Generator) -> Tensor:
        shape = (len(prompt_ids), self._samples)
        return torch.rand(shape, generator=generator, device=prompt_ids.device, dtype=self._rewards.dtype)

    def ordering_uniforms(self, prompt_ids: Tensor, generator: Generator) -> Tensor:
        return self.sampling_uniforms(prompt_ids, generator)

    def sampled_ranking(
        self, policy_logps: Tensor, prompt_ids: Tensor, sampling_uniforms: Tensor, ordering_uniforms: Tensor
    ) -> Tensor:
        """[B, R] which completions the policy has sampled, from the best to the worst; by inversion of its distribution
        function."""
        upto = policy_logps.exp().cumsum(-1)[prompt_ids]
        drawn = torch.searchsorted(upto, sampling_uniforms * upto[:, -1:], right=True).clamp(max=upto.shape[1] - 1)
        if self._samples == 1:
            return drawn
        if self._labels == "better":
            ids = prompt_ids.reshape(-1, 1, 1)
            order = self._table[ids, drawn.unsqueeze(2), drawn.unsqueeze(1)].mean(-1)
        elif self._samples == 2:
            stays = ordering_uniforms[:, 0] < self._table[prompt_ids, drawn[:, 0], drawn[:, 1]]
            order = torch.stack([stays, ~stays], 1).long()
        else:  # Plackett-Luce
            order = self._rewards[prompt_ids].gather(1, drawn) - ordering_uniforms.log().neg().log()
        return drawn.gather(1, order.argsort(dim=1, descending=True, stable=True))

    def old_enumerated_logps(self, enumerated_logps: Tensor) -> Tensor:
        return enumerated_logps

    def old_chosen_logps(self, chosen_logps: Tensor) -> Tensor:
        return chosen_logps

    def old_rejected_logps(self, rejected_logps: Tensor) -> Tensor:
        return rejected_logps

    def rollout_logps(self, ranking_token_logps: Tensor) -> Tensor:
        return ranking_token_logps

    # --- the samples in the place of the data's completions

    def sampled_rows(self, sampled_ranking: Tensor, prompt_ids: Tensor) -> Tensor:
        """[B, R, T + 1] prompts and completions."""
        prompts = self._prompts[prompt_ids].unsqueeze(1).expand(-1, sampled_ranking.shape[1], -1)
        return torch.cat([prompts, self._completions[sampled_ranking]], -1)

    def sampled_x(self, sampled_rows: Tensor) -> Tensor:
        return sampled_rows[..., :-1]

    def sampled_targets(self, sampled_rows: Tensor) -> Tensor:
        return sampled_rows[..., 1:]

    def sampled_mask(self, sampled_rows: Tensor) -> Tensor:
        places = torch.arange(sampled_rows.shape[-1] - 1, device=sampled_rows.device)
        return (places >= self._first).expand(*sampled_rows.shape[:2], -1)

    def ranking_logits(self, body: Callable, head: Callable, sampled_x: Tensor) -> Tensor:
        return super().ranking_logits(body, head, sampled_x)

    def ranking_token_logps(self, ranking_logits: Tensor, sampled_targets: Tensor, sampled_mask: Tensor) -> Tensor:
        return super().ranking_token_logps(ranking_logits, sampled_targets, sampled_mask)

    def mismatched_logps(
        self, body: Callable, head: Callable, sampled_x: Tensor, sampled_targets: Tensor, sampled_mask: Tensor
    ) -> Tensor:
        return _mismatched_logps(body, head, sampled_x, sampled_targets, sampled_mask)

    def ref_ranking_features(self, sampled_x: Tensor) -> Tensor:
        return super().ref_ranking_features(sampled_x)

    def ref_ranking_token_logps(
        self, ref_ranking_logits: Tensor, sampled_targets: Tensor, sampled_mask: Tensor
    ) -> Tensor:
        return super().ref_ranking_token_logps(ref_ranking_logits, sampled_targets, sampled_mask)

    def ref_mismatched_logps(self, sampled_x: Tensor, sampled_targets: Tensor, sampled_mask: Tensor) -> Tensor:
        return super().ref_mismatched_logps(sampled_x, sampled_targets, sampled_mask)

    def ranking_mask(self, sampled_mask: Tensor) -> Tensor:
        return sampled_mask

    def chosen_mask(self, sampled_mask: Tensor) -> Tensor:
        return sampled_mask[:, 0]

    def rejected_mask(self, sampled_mask: Tensor) -> Tensor:
        return super().rejected_mask(sampled_mask)

    def desirable(self, sampled_mask: Tensor) -> Tensor:
        return super().desirable(sampled_mask)

    # --- the samples as those of reinforcement learning, [B R, T], with their true rewards

    def rewards(self, sampled_ranking: Tensor, prompt_ids: Tensor) -> Tensor:
        return self._rewards[prompt_ids].gather(1, sampled_ranking).float()

    def reward_margins(self, rewards: Tensor) -> Tensor:
        return rewards[:, 0] - rewards[:, -1]

    def mask(self, sampled_mask: Tensor) -> Tensor:
        return sampled_mask.flatten(0, 1)

    def completion_advantages(self, rewards: Tensor) -> Tensor:
        return group_normalized(rewards)

    def advantages(self, completion_advantages: Tensor, sampled_mask: Tensor) -> Tensor:
        return completion_advantages.detach().unsqueeze(-1).expand_as(sampled_mask).flatten(0, 1)

    def token_logps(self, ranking_token_logps: Tensor) -> Tensor:
        return ranking_token_logps.flatten(0, 1)

    def old_ranking_logps(self, rollout_logps: Tensor) -> Tensor:
        return rollout_logps.sum(-1)

    def old_token_logps(self, rollout_logps: Tensor) -> Tensor:
        return rollout_logps.flatten(0, 1)

    def ref_token_logps(self, ref_ranking_token_logps: Tensor) -> Tensor:
        return ref_ranking_token_logps.flatten(0, 1)

    # --- all completions

    def enumerated_logps(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return policy_logps[prompt_ids]

    def ref_enumerated_logps(self, prompt_ids: Tensor) -> Tensor:
        return self._ref_logps[prompt_ids]

    def preference_table(self, prompt_ids: Tensor) -> Tensor:
        return self._table[prompt_ids]

    # --- what is measured: on the data's pairs, and over all completions

    # What preference measures of the pairs that it learns from:
    chosen_top_tokens = gradient_products = None  # type: ignore[assignment]

    def data_logps(self, body: Callable, head: Callable, x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return target_logps(super().ranking_logits(body, head, x), targets, mask).sum(-1)

    def ref_data_logps(self, x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return target_logps(super().ref_ranking_logits(super().ref_ranking_features(x)), targets, mask).sum(-1)

    def policy_preference(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return (policy_logps.exp() * preferred_to(self._ref_logps, self._table)).sum(-1)[prompt_ids]

    def policy_exploitability(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return exploitability(policy_logps, self._table)[prompt_ids]

    def policy_regularized_exploitability(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return regularized_exploitability(policy_logps, self._ref_logps, self._table, beta=self._beta)[prompt_ids]

    def policy_repetition(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        """[B] part of the places at which a completion of the prompt has the symbol of one of another prompt."""
        at = torch.einsum("py,ylc->plc", policy_logps.exp(), self._symbols)
        same = torch.einsum("plc,qlc->pq", at, at) / at.shape[1]
        others = max(len(at) - 1, 1)
        return ((same.sum(1) - same.diagonal()) / others)[prompt_ids]

    def target_divergences(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return target_divergences(policy_logps, self._target_logps)[prompt_ids]

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        data_logps: Tensor,
        ref_data_logps: Tensor,
        policy_rewards: Tensor,
        policy_wins: Tensor,
        policy_kl: Tensor,
        policy_entropy: Tensor,
        reward_agreement: Tensor,
        target_kl: Tensor,
        information: Tensor,
        policy_preference: Tensor,
        policy_exploitability: Tensor,
        policy_regularized_exploitability: Tensor,
        policy_repetition: Tensor,
        target_divergences: Tensor,
    ) -> dict[str, Tensor]:
        own, ref = data_logps, ref_data_logps
        exact = {
            "target_kl": target_kl,
            "information_entropy": information,
            "preference_rate": policy_preference,
            "exploitability": policy_exploitability,
            "regularized_exploitability": policy_regularized_exploitability,
            "prompt_repetition": policy_repetition,
        }
        return {
            **preference_metrics(own[:, 0], own[:, -1], ref[:, 0], ref[:, -1]),
            **policy_metrics(
                policy_rewards,
                policy_wins,
                policy_kl,
                policy_entropy,
                reward_agreement,
                self._frontier,
                self._best_of_n,
            ),
            **{name: precise(values).mean() for name, values in exact.items()},
            **divergence_metrics(target_divergences),
        }
