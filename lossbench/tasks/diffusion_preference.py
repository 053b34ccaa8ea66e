"""Diffusion preference: as task=preference, for policies that fill in hidden tokens and have no likelihood.

A masked diffusion model gives a bound of the log-likelihood of a completion y of L tokens,

    B(y | x) = E_l E_M (L / l) sum_{i in M} log pi(y_i | x, y without M)        l: 1 to L, M: l of its places, all alike

which is estimated by the mean over ``times`` numbers l and ``masks`` sets M of each, and stands in the place of
log pi(y | x) in every loss of pairs: loss=dpo is then the DPO-E of the paper. Its choices are here: more of both, times
before masks (the mean over times * masks draws has the smallest variance where masks is 1), and ``shared``.

shared      policy and reference have the same draws for the same completion, never the two completions of a pair
reference   a folder, or {train: [overrides]}: a model of task=completion_diffusion
Batch       as in task=preference
Metrics     as in task=preference, of pairs by the bound with draws that are the same in every evaluation; over all
            completions, exactly, of the policy that uncovers one token after the other in a random order;
            score_deviation   root of the mean variance of the estimated h = (B - B_ref)(chosen) - (B - B_ref)(rejected)
Paper       Zhu et al. 2025, arXiv:2505.19223 (VRPO; the preference score and its three reductions of variance)
Differs     the bound with a number of hidden tokens, which the paper names as the equal alternative to a level t with
            weight 1 / t
"""

import itertools
from collections.abc import Callable
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.metrics.preference import policy_metrics, preference_metrics
from lossbench.metrics.ranking import precise
from lossbench.tasks.completion_diffusion import hidden_tokens
from lossbench.tasks.preference import Preference

DRAWS = 8  # of an evaluation, for each completion
REPEATS, REPEATED_PAIRS = 8, 64  # estimates of one score; pairs of each evaluation batch that have them


class DiffusionPreference(Preference):
    # What an autoregressive policy has, and this one does not.
    ranking_logits = ranking_token_logps = mismatched_logps = None  # type: ignore[assignment]
    chosen_logits = rejected_logits = chosen_token_logps = rejected_token_logps = None  # type: ignore[assignment]
    chosen_top_tokens = gradient_products = None  # type: ignore[assignment]
    ref_ranking_features = ref_ranking_logits = ref_ranking_token_logps = None  # type: ignore[assignment]
    ref_chosen_features = ref_rejected_features = ref_mismatched_logps = None  # type: ignore[assignment]
    ref_chosen_logits = ref_rejected_logits = None  # type: ignore[assignment]
    ref_chosen_token_logps = ref_rejected_token_logps = None  # type: ignore[assignment]

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        reference: nn.Module,
        times: Annotated[int, Ge(1)] = 8,
        masks: Annotated[int, Ge(1)] = 1,
        shared: bool = True,
    ):
        self._hidden_token, self._times, self._masks, self._shared = dataset.num_outputs, times, masks, shared
        if len(dataset.input_shape) == 2:
            draw = Generator().manual_seed(0)
            length = dataset.input_shape[1]
            self._evaluation_noise = torch.rand((64, 2, DRAWS, 1 + length), generator=draw).to(device)
            spread = torch.arange(DRAWS, device=device) / DRAWS  # numbers of hidden tokens, evenly
            self._evaluation_noise[..., 0] = (self._evaluation_noise[:, :, :1, 0] + spread).remainder(1)
            shape = (2, REPEATS, REPEATED_PAIRS, 2, times, 1 + masks * length)
            self._repeated_noise = torch.rand(shape, generator=draw).to(device)
        super().__init__(dataset, device, reference=reference, gradient_pairs=0)

    @staticmethod
    def shapes(dataset: Dataset) -> tuple[tuple[int, ...], int]:
        """The whole sequence is read."""
        return (dataset.input_shape[-1] + 1,), dataset.num_outputs

    # --- the bounds

    def bound_noise(self, x: Tensor, generator: Generator) -> Tensor:
        """[B, R, times, 1 + masks * T] uniform: for each time the number of hidden tokens, and which."""
        shape = (*x.shape[:2], self._times, 1 + self._masks * x.shape[2])
        return torch.rand(shape, generator=generator, device=x.device)

    def ref_bound_noise(self, bound_noise: Tensor, x: Tensor, generator: Generator) -> Tensor:
        return bound_noise if self._shared else self.bound_noise(x, generator)

    def ranking_logps(  # type: ignore[override]
        self, body: Callable, head: Callable, x: Tensor, targets: Tensor, mask: Tensor, bound_noise: Tensor
    ) -> Tensor:
        return self._bounds(body, head, x, targets, mask, bound_noise)

    def ref_ranking_logps(  # type: ignore[override]
        self, x: Tensor, targets: Tensor, mask: Tensor, ref_bound_noise: Tensor
    ) -> Tensor:
        with torch.no_grad():
            return self._bounds(self._body, self._head, x, targets, mask, ref_bound_noise)

    def _bounds(
        self, body: Callable, head: Callable, x: Tensor, targets: Tensor, mask: Tensor, noise: Tensor
    ) -> Tensor:
        """[B, R] the estimate from noise [B, R, times, 1 + masks * T]."""
        length = x.shape[2]
        places = noise[..., 1:].unflatten(-1, (-1, length))  # [B, R, times, masks, T]
        parts = noise[..., :1].unsqueeze(-1)
        counted = mask[:, :, None, None]
        hidden = hidden_tokens(parts, places, counted)
        whole = torch.cat([x, targets[..., -1:]], -1).long()[:, :, None, None].expand(*places.shape[:-1], -1)
        covered = torch.nn.functional.pad(hidden, (1, 0))
        logits = head(body(torch.where(covered, self._hidden_token, whole).flatten(0, 3)))
        logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        log_p = logits.log_softmax(-1).unflatten(0, places.shape[:-1])[..., 1:, :]
        log_p = log_p.gather(-1, whole[..., 1:].unsqueeze(-1)).squeeze(-1)
        total = torch.where(hidden, log_p, 0.0).sum(-1) * counted.sum(-1) / hidden.sum(-1).clamp(min=1)
        return total.mean((2, 3))

    # --- what is measured

    def data_logps(self, body: Callable, head: Callable, x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """[B, 2] the bounds of the best and the worst completion."""
        ends = [0, x.shape[1] - 1]
        noise = self._evaluation_noise[torch.arange(len(x), device=x.device) % 64]
        return self._bounds(body, head, x[:, ends], targets[:, ends], mask[:, ends], noise)

    def ref_data_logps(self, x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return self.data_logps(self._body, self._head, x, targets, mask)

    def score_variance(self, body: Callable, head: Callable, x: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """[B] of the estimated difference of log-ratios; NaN beyond the first pairs."""
        size, ends, number = len(x), [0, x.shape[1] - 1], min(len(x), REPEATED_PAIRS)
        x, targets, mask = (values[:number][:, ends] for values in (x, targets, mask))
        scores = []
        for own, other in zip(*self._repeated_noise[:, :, :number], strict=True):
            ref = self._bounds(self._body, self._head, x, targets, mask, own if self._shared else other)
            ratio = self._bounds(body, head, x, targets, mask, own) - ref
            scores.append(ratio[:, 0] - ratio[:, 1])
        found = torch.stack(scores).var(0)
        return torch.cat([found, found.new_full((size - number,), torch.nan)])

    def _enumerated(self, forward: Callable) -> Tensor:
        """[P, Y] log-probability of every completion where one token after the other is uncovered, in random order.

        g(S) of the tokens S that are uncovered is the probability to have come there with y's own: g of nothing is 1,

            g(S) = sum_{i in S} g(S without i) pi(y_i | x, y at S without i) / (L - |S| + 1)
        """
        rows = self._rows  # [P * beginnings, T]: made for autoregressive policies; prompts and completions are in there
        symbols = self._hidden_token
        length = rows.shape[1] - self._first
        prompts = rows[:: len(self._beginnings), : self._first + 1]
        options = [torch.arange(symbols + 1, device=rows.device)] * length
        covers = torch.cartesian_prod(*options).reshape(-1, length)  # every completion with any tokens hidden
        whole = torch.cat([prompts.repeat_interleave(len(covers), 0), covers.repeat(len(prompts), 1)], 1)
        log_p = forward(whole)[:, self._first + 1 :].to(self._rewards.dtype).log_softmax(-1)
        log_p = log_p.reshape(len(prompts), len(covers), length, symbols)
        powers = (symbols + 1) ** torch.arange(length - 1, -1, -1, device=rows.device)
        ends = torch.cartesian_prod(*[option[:-1] for option in options]).reshape(-1, length)
        reached: dict[tuple[int, ...], Tensor] = {(): torch.zeros_like(log_p[:, : len(ends), 0, 0])}
        for size in range(1, length + 1):
            for shown in itertools.combinations(range(length), size):
                ways = []
                for i in shown:
                    before = tuple(j for j in shown if j != i)
                    seen = torch.full_like(ends, symbols)
                    seen[:, list(before)] = ends[:, list(before)]
                    ways.append(reached[before] + log_p[:, (seen * powers).sum(1), i, ends[:, i]])
                reached[shown] = torch.stack(ways).logsumexp(0) - torch.tensor(length - size + 1.0).log().item()
        return reached[tuple(range(length))]

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        data_logps: Tensor,
        ref_data_logps: Tensor,
        score_variance: Tensor,
        policy_rewards: Tensor | None = None,
        policy_wins: Tensor | None = None,
        policy_kl: Tensor | None = None,
        policy_entropy: Tensor | None = None,
        reward_agreement: Tensor | None = None,
        information: Tensor | None = None,
        target_kl: Tensor | None = None,
    ) -> dict[str, Tensor]:
        own, ref = data_logps, ref_data_logps
        found = preference_metrics(own[:, 0], own[:, 1], ref[:, 0], ref[:, 1])
        found["score_deviation"] = precise(score_variance).nanmean().sqrt()
        if policy_rewards is None or policy_wins is None or policy_kl is None or policy_entropy is None:
            return found
        assert reward_agreement is not None and information is not None and target_kl is not None
        exact = (policy_rewards, policy_wins, policy_kl, policy_entropy, reward_agreement)
        found |= policy_metrics(*exact, self._frontier, self._best_of_n)
        return found | {"target_kl": precise(target_kl).mean(), "information_entropy": precise(information).mean()}
