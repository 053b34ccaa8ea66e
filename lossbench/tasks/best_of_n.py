"""Best of n: the policy of task=preference, of which n completions are drawn and the one with the highest reward taken.

Everything is as in task=preference, but for what is measured over all completions: that is of best-of-n, with the true
reward, and exact. Training is that of the policy itself; one step of a rate near 0 leaves the reference.

n           completions that are drawn; any number from 1, which is the policy itself
kl_formula  what would be reported of KL(best-of-n || policy): exact; bound, log n - (n - 1) / n; estimate, the better
            one, from the probabilities of the selected completions
Metrics     as in task=preference, and
            choice_kl         KL(best-of-n || policy), exact
            choice_kl_error   how far what kl_formula says is from that, the absolute value
            symbol_gap        how much more reward for each symbol of a completion the best policy of the same KL has
Paper       Beirami et al. 2024, arXiv:2401.01879; Yang et al. 2024, arXiv:2404.01730 (symbol_gap)
"""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.metrics.best_of_n import best_of_n, kl_bound, kl_estimate
from lossbench.metrics.ranking import precise
from lossbench.tasks.preference import Preference


class BestOfN(Preference):
    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        *,
        reference: nn.Module,
        gradient_pairs: Annotated[int, Ge(0)] = 0,
        n: Annotated[float, Ge(1)] = 4.0,
        kl_formula: Literal["exact", "bound", "estimate"] = "exact",
    ):
        super().__init__(dataset, device, reference=reference, gradient_pairs=gradient_pairs)
        if not self._enumerable:
            raise UsageError(
                "task=best_of_n chooses by the true reward among all completions, which this data set does not have. "
                "Choose dataset=bradley_terry, or task=preference."
            )
        self._n, self._formula = n, kl_formula
        self._symbols = len(dataset.truth.completions[0])  # type: ignore[attr-defined]  # it is enumerable

    def single_logps(self, forward: Callable, prompt_ids: Tensor) -> Tensor:
        """[P, Y] of the policy itself."""
        return self._enumerated(forward)

    def policy_logps(self, single_logps: Tensor, prompt_ids: Tensor) -> Tensor:  # type: ignore[override]
        return best_of_n(single_logps, self._rewards, self._n)

    def choice_kl(self, single_logps: Tensor, policy_logps: Tensor, prompt_ids: Tensor) -> Tensor:
        return (policy_logps.exp() * (policy_logps - single_logps)).sum(-1)[prompt_ids]

    def choice_kl_error(
        self, single_logps: Tensor, policy_logps: Tensor, choice_kl: Tensor, prompt_ids: Tensor
    ) -> Tensor:
        if self._formula == "exact":
            return torch.zeros_like(choice_kl)
        if self._formula == "bound":
            said = kl_bound(self._n).to(choice_kl).expand_as(choice_kl)
        else:
            said = (policy_logps.exp() * kl_estimate(single_logps, self._n)).sum(-1)[prompt_ids]
        return (said - choice_kl).abs()

    def metrics(  # type: ignore[override]  # its signature names what it needs
        self,
        chosen_logps: Tensor,
        rejected_logps: Tensor,
        ref_chosen_logps: Tensor,
        ref_rejected_logps: Tensor,
        chosen_top_tokens: Tensor,
        gradient_products: Tensor,
        policy_rewards: Tensor,
        policy_wins: Tensor,
        policy_kl: Tensor,
        policy_entropy: Tensor,
        reward_agreement: Tensor,
        information: Tensor,
        target_kl: Tensor,
        choice_kl: Tensor,
        choice_kl_error: Tensor,
    ) -> dict[str, Tensor]:
        found = super().metrics(
            chosen_logps,
            rejected_logps,
            ref_chosen_logps,
            ref_rejected_logps,
            chosen_top_tokens,
            gradient_products,
            policy_rewards,
            policy_wins,
            policy_kl,
            policy_entropy,
            reward_agreement,
            information,
            target_kl,
        )
        return found | {
            "choice_kl": precise(choice_kl).mean(),
            "choice_kl_error": precise(choice_kl_error).mean(),
            "symbol_gap": found["frontier_gap"] / self._symbols,
        }
