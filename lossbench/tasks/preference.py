"""Preference: a policy learns from comparisons of completions, and starts from a frozen reference policy.

Policy and reference are language models. All completions of an example go through the policy in one forward pass. A
log-probability of a completion is the sum over its tokens. Of rankings, losses on pairs see the best and the worst.

Batch       x [B, R, T] prompts with R completions from the best to the worst, targets [B, R, T] the tokens after, mask
            [B, R, T] true where the target is a token of the completion, ids [B]; R = 1 is for losses without pairs
            where the data set has them: reward_margins [B], desirable [B], prompt_ids [B]
reference   a folder, or {train: [overrides]} of a run to be made first; the same model as the policy
Metrics     accuracy of log(policy / reference) on held-out pairs, its margin, the log-probabilities of both completions
            and how they have moved; entropy and mass of the likeliest tokens; how the gradients of both completions lie
            to each other; where completions can be enumerated, exactly: expected true reward, win rate against the
            reference, KL to the reference, entropy, and how much more reward the best policy of this KL and best-of-n
            have; see lossbench/metrics/preference.py. At the end also start_<metric>, what the policy began with, and
            frontier_<kl>
"""

from collections.abc import Callable, Mapping
from typing import Annotated, cast

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.func import functional_call, vjp

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.metrics.preference import (
    Frontier,
    agreement,
    best_of_n_frontier,
    frontier,
    gradient_metrics,
    information_entropy,
    policy_metrics,
    preference_metrics,
    reward_at,
    token_metrics,
    top_tokens,
    win_table,
)
from lossbench.metrics.ranking import precise
from lossbench.ops import target_logps

FRONTIER_AT = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # values of the KL


class Preference:
    batch: tuple[str, ...] = ("x", "targets", "mask", "ids")
    selection = ("accuracy", "higher")
    same_model = ("reference",)

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        reference: nn.Module,
        gradient_pairs: Annotated[int, Ge(0)] = 16,
    ):
        """gradient_pairs: pairs of each evaluation batch whose gradients are looked at."""
        if len(dataset.input_shape) != 2 or "mask" not in dataset.train.labels:
            raise UsageError(
                "task=preference reads completions [R, T] of a prompt, which this data set does not have. Choose one "
                "of preferences, such as dataset=bradley_terry, or another task."
            )
        self.start = reference  # what the policy begins as: the engine copies it
        self._reference = reference.requires_grad_(False).eval().to(device)
        self._body, self._head = cast(nn.Module, reference.body), cast(nn.Module, reference.head)
        self._gradient_pairs = gradient_pairs
        truth = getattr(dataset, "truth", None)
        self._enumerable = truth is not None
        if truth is None:
            return
        double = torch.float32 if device.type == "mps" else torch.float64
        self._rewards = truth.rewards.to(device, double)
        self._num_symbols = dataset.num_outputs
        self._first = truth.prompts.shape[1] - 1  # the first place whose target is a completion's
        # Beginnings that differ in the last symbol only share a row: it is none of the inputs.
        self._beginnings = truth.completions[:: dataset.num_outputs, :-1]
        self._rows = torch.cat(
            [
                truth.prompts.repeat_interleave(len(self._beginnings), 0),
                self._beginnings.repeat(len(truth.prompts), 1),
            ],
            1,
        ).to(device)
        self._targets = self._rows[:, self._first + 1 :]
        with torch.no_grad():
            self._ref_logps = self._enumerated(self._reference)
        self._win_table = win_table(self._rewards, self._ref_logps)
        self._frontier: Frontier = frontier(self._rewards, self._ref_logps)
        self._best_of_n: Frontier = best_of_n_frontier(self._rewards, self._ref_logps)
        self._target_logps = (self._ref_logps + self._rewards).log_softmax(-1)

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        """((T,), size of the vocabulary): sequences are read one by one."""
        return dataset.input_shape[-1:], dataset.num_outputs

    # --- the policy

    def ranking_logits(self, body: Callable, head: Callable, x: Tensor) -> Tensor:
        return head(body(x.flatten(0, 1))).unflatten(0, x.shape[:2])

    def ranking_token_logps(self, ranking_logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return target_logps(ranking_logits, targets, mask)

    def ranking_logps(self, ranking_token_logps: Tensor) -> Tensor:
        return ranking_token_logps.sum(-1)

    def ranking_values(self, ranking_logits: Tensor) -> Tensor:
        return ranking_logits.logsumexp(-1)

    def chosen_logits(self, ranking_logits: Tensor) -> Tensor:
        return ranking_logits[:, 0]

    def rejected_logits(self, ranking_logits: Tensor) -> Tensor:
        return _last(ranking_logits)

    def chosen_token_logps(self, ranking_token_logps: Tensor) -> Tensor:
        return ranking_token_logps[:, 0]

    def rejected_token_logps(self, ranking_token_logps: Tensor) -> Tensor:
        return _last(ranking_token_logps)

    def chosen_logps(self, ranking_logps: Tensor) -> Tensor:
        return ranking_logps[:, 0]

    def rejected_logps(self, ranking_logps: Tensor) -> Tensor:
        return _last(ranking_logps)

    def completion_logps(self, ranking_logps: Tensor) -> Tensor:
        return ranking_logps.flatten()

    def mismatched_logps(self, body: Callable, head: Callable, x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return _mismatched_logps(body, head, x, targets, mask)

    # --- how the policy is made, for the metrics

    def chosen_top_tokens(self, chosen_logits: Tensor, chosen_mask: Tensor) -> Tensor:
        return top_tokens(chosen_logits, chosen_mask)

    def gradient_products(
        self, model_parameters: Mapping[str, Tensor], x: Tensor, targets: Tensor, mask: Tensor
    ) -> Tensor:
        """[B, 3] <g, g>, <g, h> and <h, h> of the gradients of both log-probabilities; NaN beyond the first pairs.

        The reference has the policy's architecture: with the policy's parameters in the place of its own it is a
        function of them, in every engine.
        """
        if any(hasattr(p, "full_tensor") for p in model_parameters.values()):
            raise UsageError(
                "task.gradient_pairs: the weights of this run are divided among processes, and gradients of single "
                "pairs need them whole. Choose task.gradient_pairs=0."
            )
        ends = [0, x.shape[1] - 1]
        rows = []
        for i in range(min(self._gradient_pairs, len(x))):

            def logps(parameters: dict[str, Tensor], i: int = i) -> Tensor:
                logits = functional_call(self._reference, parameters, (x[i, ends],))
                return target_logps(logits, targets[i, ends], mask[i, ends]).sum(-1)

            values, pull = vjp(logps, dict(model_parameters))[:2]
            unit = torch.eye(2, dtype=values.dtype, device=values.device)
            g, h = pull(unit[0])[0], pull(unit[1])[0]
            rows.append(torch.stack([_inner(g, g), _inner(g, h), _inner(h, h)]))
        unseen = torch.full((len(x) - len(rows), 3), torch.nan, device=x.device)
        return torch.cat([torch.stack(rows).to(unseen), unseen]) if rows else unseen

    # --- the reference

    def ref_ranking_features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self._body(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def ref_ranking_logits(self, ref_ranking_features: Tensor) -> Tensor:
        with torch.no_grad():
            return self._head(ref_ranking_features)

    def ref_ranking_token_logps(self, ref_ranking_logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return target_logps(ref_ranking_logits, targets, mask)

    def ref_ranking_logps(self, ref_ranking_token_logps: Tensor) -> Tensor:
        return ref_ranking_token_logps.sum(-1)

    def ref_ranking_values(self, ref_ranking_logits: Tensor) -> Tensor:
        return ref_ranking_logits.logsumexp(-1)

    def ref_chosen_features(self, ref_ranking_features: Tensor) -> Tensor:
        return ref_ranking_features[:, 0]

    def ref_rejected_features(self, ref_ranking_features: Tensor) -> Tensor:
        return _last(ref_ranking_features)

    def ref_chosen_logits(self, ref_ranking_logits: Tensor) -> Tensor:
        return ref_ranking_logits[:, 0]

    def ref_rejected_logits(self, ref_ranking_logits: Tensor) -> Tensor:
        return _last(ref_ranking_logits)

    def ref_chosen_token_logps(self, ref_ranking_token_logps: Tensor) -> Tensor:
        return ref_ranking_token_logps[:, 0]

    def ref_rejected_token_logps(self, ref_ranking_token_logps: Tensor) -> Tensor:
        return _last(ref_ranking_token_logps)

    def ref_chosen_logps(self, ref_ranking_logps: Tensor) -> Tensor:
        return ref_ranking_logps[:, 0]

    def ref_rejected_logps(self, ref_ranking_logps: Tensor) -> Tensor:
        return _last(ref_ranking_logps)

    def ref_completion_logps(self, ref_ranking_logps: Tensor) -> Tensor:
        return ref_ranking_logps.flatten()

    def ref_mismatched_logps(self, x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad():
            return _mismatched_logps(self._body, self._head, x, targets, mask)

    # --- the labels

    def ranking_mask(self, mask: Tensor) -> Tensor:
        return mask

    def chosen_mask(self, mask: Tensor) -> Tensor:
        return mask[:, 0]

    def rejected_mask(self, mask: Tensor) -> Tensor:
        return _last(mask)

    def chosen_lengths(self, chosen_mask: Tensor) -> Tensor:
        return chosen_mask.sum(-1).clamp(min=1).float()

    def rejected_lengths(self, rejected_mask: Tensor) -> Tensor:
        return rejected_mask.sum(-1).clamp(min=1).float()

    def desirable(self, mask: Tensor) -> Tensor:
        """Of data that do not say it: the best completion of each prompt is, the others are not."""
        best = torch.arange(mask.shape[1], device=mask.device) == 0
        return best.expand(len(mask), -1).flatten()

    # --- all completions, where they can be enumerated; ``prompt_ids`` says that they can

    def rewards(self, targets: Tensor, prompt_ids: Tensor) -> Tensor:
        """[B, R] true rewards: the place of a completion among all is the number that its symbols are the digits of."""
        place = torch.zeros_like(targets[..., 0])
        for symbol in targets[..., self._first :].unbind(-1):
            place = place * self._num_symbols + symbol
        return self._rewards[prompt_ids.unsqueeze(-1), place].float()

    def policy_logps(self, forward: Callable, prompt_ids: Tensor) -> Tensor:
        return self._enumerated(forward)

    def policy_rewards(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return (policy_logps.exp() * self._rewards).sum(-1)[prompt_ids]

    def policy_wins(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return (policy_logps.exp() * self._win_table).sum(-1)[prompt_ids]

    def policy_kl(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return (policy_logps.exp() * (policy_logps - self._ref_logps)).sum(-1)[prompt_ids]

    def policy_entropy(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return -(policy_logps.exp() * policy_logps).sum(-1)[prompt_ids]

    def reward_agreement(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return agreement(policy_logps - self._ref_logps, self._rewards, self._ref_logps)[prompt_ids]

    def information(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return information_entropy(policy_logps - self._ref_logps)[prompt_ids]

    def target_kl(self, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        target = self._target_logps
        return (target.exp() * (target - policy_logps)).sum(-1)[prompt_ids]

    def _enumerated(self, forward: Callable) -> Tensor:
        """[P, Y] log-probability of every completion after every prompt: one pass over their beginnings."""
        log_p = forward(self._rows)[:, self._first :].to(self._rewards.dtype).log_softmax(-1)
        begun = log_p[:, :-1].gather(-1, self._targets.unsqueeze(-1)).squeeze(-1).sum(-1)
        return (begun.unsqueeze(-1) + log_p[:, -1]).reshape(len(self._rewards), -1)

    def metrics(
        self,
        chosen_logps: Tensor,
        rejected_logps: Tensor,
        ref_chosen_logps: Tensor,
        ref_rejected_logps: Tensor,
        chosen_top_tokens: Tensor,
        gradient_products: Tensor,
        policy_rewards: Tensor | None = None,
        policy_wins: Tensor | None = None,
        policy_kl: Tensor | None = None,
        policy_entropy: Tensor | None = None,
        reward_agreement: Tensor | None = None,
        information: Tensor | None = None,
        target_kl: Tensor | None = None,
    ) -> dict[str, Tensor]:
        found = preference_metrics(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps)
        found |= token_metrics(chosen_top_tokens)
        if self._gradient_pairs:
            found |= gradient_metrics(gradient_products)
        if policy_rewards is None or policy_wins is None or policy_kl is None or policy_entropy is None:
            return found
        assert reward_agreement is not None and information is not None and target_kl is not None
        found |= policy_metrics(
            policy_rewards,
            policy_wins,
            policy_kl,
            policy_entropy,
            reward_agreement,
            self._frontier,
            self._best_of_n,
        )
        return found | {"target_kl": precise(target_kl).mean(), "information_entropy": precise(information).mean()}

    def test_metrics(self, splits: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """start_<metric>: of the reference on the test split, which is what the policy was before the first step; and
        frontier_<kl>: the most reward that a policy of this KL can have, for the report."""
        test = splits["test"]
        found: dict[str, Tensor] = {}
        most: dict[str, Tensor] = {}
        if "ref_chosen_logps" in test and "ref_rejected_logps" in test:
            chosen, rejected = test["ref_chosen_logps"], test["ref_rejected_logps"]
            made = preference_metrics(chosen, rejected, chosen, rejected)
            found = {name: made[name] for name in ("likelihood_accuracy", "chosen_logp", "rejected_logp")}
        if self._enumerable:
            ref, every = self._ref_logps, torch.arange(len(self._ref_logps), device=self._ref_logps.device)
            made = policy_metrics(
                self.policy_rewards(ref, every),
                self.policy_wins(ref, every),
                self.policy_kl(ref, every),
                self.policy_entropy(ref, every),
                self.reward_agreement(ref, every),
                self._frontier,
            )
            found |= {name: made[name] for name in ("reward", "win_rate", "completion_entropy")}
            found["target_kl"] = self.target_kl(ref, every).mean()
            kls = torch.tensor(FRONTIER_AT, dtype=ref.dtype, device=ref.device)
            most = {f"frontier_{at:g}": reward_at(self._frontier, kl) for at, kl in zip(FRONTIER_AT, kls, strict=True)}
        return {f"start_{name}": value for name, value in found.items()} | most


def _last(values: Tensor) -> Tensor:
    """Of the worst completion. Raises UsageError where the data set has single completions."""
    if values.shape[1] < 2:
        raise UsageError(
            "loss: it compares two completions of a prompt, and the examples of this data set have one. Choose a loss "
            "for single completions, such as loss=kto, or leave out variant=[unpaired]."
        )
    return values[:, -1]


def _inner(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
    """Over all parameters."""
    return torch.stack([(own.float() * b[name].float()).sum() for name, own in a.items()]).sum()


def _mismatched_logps(body: Callable, head: Callable, x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """[B * R] log-probability of the completion of the next example after the prompt of each."""
    x, targets, mask = _mismatched(x, targets, mask)
    return target_logps(head(body(x)), targets, mask).sum(-1)


def _mismatched(x: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets and mask [B * R, T] of each prompt with the completion of the next example, of the same rank.

    What is longer than a sequence can be is cut off.
    """
    whole = torch.cat([x, targets[..., -1:]], -1)  # place t + 1 of it is the target at place t
    next_whole, next_mask = whole.roll(-1, 0), mask.roll(-1, 0)
    start, next_start = (m.long().argmax(-1, keepdim=True) + 1 for m in (mask, next_mask))
    places = torch.arange(whole.shape[-1], device=x.device)
    source = places - start + next_start
    inside = (places >= start) & (source < whole.shape[-1])
    source = source.clamp(0, whole.shape[-1] - 1)
    made = torch.where(places >= start, next_whole.gather(-1, source), whole)
    counts = inside[..., 1:] & next_mask.gather(-1, (source - 1).clamp(min=0)[..., 1:])
    return made[..., :-1].flatten(0, 1), made[..., 1:].flatten(0, 1), counts.flatten(0, 1)
