"""Trade-off cross-entropy: of several tasks, weighed by the trade-off that the model was told.

    l_i = mean_v sum_q trade_offs_ivq (-log softmax(trade_off_logits_ivq)[task_targets_iq])

The objective of Pareto manifold learning (model=weight_simplex) and of Pareto low-rank adapters
(model=low_rank_adapters), which differ in the model and in how the trade-offs are chosen (task.sampling).

trade_off_logits  [B, V, Q, C] scores of Q tasks for each of V trade-offs
task_targets      [B, Q] class indices
trade_offs        [B, V, Q] weights of the tasks, each sums to 1
Returns           [B]
Paper             Dimitriadis et al. 2022, arXiv:2210.09759 (PaMaL), and 2024, arXiv:2407.08056 (PaLoRA)
Differs           the authors' code of PaMaL adds up the trade-offs of a step, which is V times the mean. Without the
                  multi-forward regularisation, which the paper leaves out for MultiMNIST; its released code and its
                  description do not agree on the sign
"""

from jaxtyping import Float, Int
from torch import Tensor


def trade_off_cross_entropy(
    trade_off_logits: Float[Tensor, "B V Q C"], task_targets: Int[Tensor, "B Q"], trade_offs: Float[Tensor, "B V Q"]
) -> Float[Tensor, "B"]:
    wanted = task_targets.unsqueeze(1).expand(trade_off_logits.shape[:-1])
    log_p = trade_off_logits.log_softmax(-1).gather(-1, wanted.unsqueeze(-1)).squeeze(-1)
    return -(trade_offs * log_p).sum(-1).mean(-1)
