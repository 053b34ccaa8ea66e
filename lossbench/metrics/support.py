"""Metrics of what a policy can still write, compared with what its reference could: the support of both, by samples.

Wu et al. 2025, arXiv:2507.14843 (The Invisible Leash).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lossbench.metrics.ranking import precise


def support_metrics(
    completions: Int[Tensor, "N S T"],
    solved: Bool[Tensor, "N S"],
    ref_completions: Int[Tensor, "N Z T"],
    ref_solved: Bool[Tensor, "N Z"],
) -> dict[str, Float[Tensor, ""]]:
    """A solution, a completion that is right, is in the support of whoever has written it at least once. Over all
    prompts, P solutions are in both supports, S in the reference's alone (shrunk), E in the policy's alone (expanded):

    support_retention     P / (P + S), 1 where the reference has no solution
    net_discovery         E / (P + E), 0 where the policy has none
    support_dynamics      the harmonic mean of both, 0 where both are 0
    net_support_change    (E - S) / (P + E + S), 0 where nobody has a solution
    solutions             (P + E) / N, different ones a prompt; start_solutions: (P + S) / N
    answer_entropy        of the distribution of the policy's samples over different completions, right or wrong, in
                          nats, mean over the prompts; start_answer_entropy: of the reference's. At most log S

    The two are to be sampled independently, as often: the rarer a solution, the likelier it is missed by chance.
    Waits for the device.
    Differs   the paper says that a solution is one whose probability is above a threshold, for which these samples
              stand; 0 / 0 is not spoken of there. Here the completion is the answer
    """
    number, tries, width = completions.shape
    ref_tries = ref_completions.shape[1]
    prompts = torch.arange(number, device=completions.device)
    every = torch.cat([completions, ref_completions], 1)
    rows = torch.cat([prompts.view(-1, 1, 1).expand(-1, tries + ref_tries, 1), every], -1).view(-1, width + 1)
    different, which = rows.unique(dim=0, return_inverse=True)
    which = which.view(number, tries + ref_tries)

    def written(part: Tensor, counted: Tensor | None = None) -> Tensor:
        """[different completions] how often"""
        weights = torch.ones_like(part) if counted is None else counted.long()
        return torch.zeros(len(different), dtype=torch.long, device=part.device).index_add_(
            0, part.flatten(), weights.flatten()
        )

    def entropy(counts: Tensor, of: int) -> Tensor:
        p = precise(counts) / of
        return -torch.where(counts > 0, p * p.clamp(min=torch.finfo(p.dtype).tiny).log(), 0.0).sum() / number

    own, theirs = which[:, :tries], which[:, tries:]
    now, before = written(own, solved) > 0, written(theirs, ref_solved) > 0
    both, new, lost = (precise(found.sum()) for found in (now & before, now & ~before, before & ~now))
    retention, discovery = _over(both, both + lost, 1.0), _over(new, both + new, 0.0)
    return {
        "support_retention": retention,
        "net_discovery": discovery,
        "support_dynamics": _over(2 * retention * discovery, retention + discovery, 0.0),
        "net_support_change": _over(new - lost, both + new + lost, 0.0),
        "solutions": (both + new) / number,
        "start_solutions": (both + lost) / number,
        "answer_entropy": entropy(written(own), tries),
        "start_answer_entropy": entropy(written(theirs), ref_tries),
    }


def _over(part: Tensor, whole: Tensor, otherwise: float) -> Tensor:
    return torch.where(whole > 0, part / torch.where(whole > 0, whole, 1.0), otherwise)
