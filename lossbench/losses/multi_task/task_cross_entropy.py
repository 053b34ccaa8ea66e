"""Task cross-entropy: of each of several tasks, as terms; their sum is minimised, or what an aggregation makes of them.

    task<q>_i = -log softmax(task_logits_iq)[task_targets_iq]        q = 0..Q-1

task_logits    [B, Q, C] unnormalised scores            task_targets   [B, Q] class indices
Returns        {"task0": [B], "task1": [B], ...}
Paper          none: equal weights are linear scalarisation
Differs        nothing
"""

from jaxtyping import Float, Int
from torch import Tensor


def task_cross_entropy(
    task_logits: Float[Tensor, "B Q C"], task_targets: Int[Tensor, "B Q"]
) -> dict[str, Float[Tensor, "B"]]:
    log_p = task_logits.log_softmax(-1).gather(-1, task_targets.unsqueeze(-1)).squeeze(-1)
    return {f"task{q}": -value for q, value in enumerate(log_p.unbind(-1))}
