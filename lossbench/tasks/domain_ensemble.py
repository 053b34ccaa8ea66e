"""Domain ensemble: classification of data in domains, with a head for each domain and one that they share.

The domain of a test example is not known: the heads are weighed by how certain each is of it.

    p(c | x) = sum_h w_h softmax(z_h)_c        w_h = H_h^-gamma / sum_k H_k^-gamma        H_h = entropy of softmax(z_h)

Batch       as in classification, with groups [B]: the domain of each example
Heads       head=members with head.num_members = G + 1 for G domains, the shared head last
gamma       >= 0: the weights above, 0 being even ones; < 0: the head with the least entropy alone
Metrics     as in classification, of the logits log p(c | x)
Paper       Zhang et al. 2022, arXiv:2208.08661 (DRM)
Differs     the authors' code, for gamma >= 0, normalises the weights over all heads but leaves the shared one out of
            the sum, so that the result sums to less than 1; its adaptation to test batches by pseudo-labels is not here
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lossbench.datasets.dataset import Dataset
from lossbench.errors import UsageError
from lossbench.tasks.classification import Classification


class DomainEnsemble(Classification):
    batch = ("x", "targets", "groups", "ids")  # type: ignore[assignment]  # one more

    def __init__(self, dataset: Dataset, device: torch.device, *, gamma: float = -1.0):
        super().__init__(dataset, device)
        self._gamma = gamma
        if not dataset.num_groups:
            raise UsageError(
                "task=domain_ensemble needs the domain of each example, groups, which this data set does not have. "
                "Choose dataset=rotated_digits or another one with groups."
            )

    def domain_logits(self, head: Callable, features: Tensor) -> Tensor:
        outputs = head(features)
        if outputs.ndim != features.ndim + 1 or outputs.shape[-2] != self._num_groups + 1:
            raise UsageError(
                f"task=domain_ensemble needs a head for each of the {self._num_groups} domains and a shared one. "
                f"Choose head=members head.num_members={self._num_groups + 1}."
            )
        return outputs

    def logits(self, domain_logits: Tensor) -> Tensor:  # type: ignore[override]  # its signature names what it needs
        return weighed_by_certainty(domain_logits, self._gamma)


def weighed_by_certainty(domain_logits: Tensor, gamma: float) -> Tensor:
    """[..., H, C] logits of heads -> [..., C] log-probabilities of their mixture."""
    log_p = domain_logits.float().log_softmax(-1)
    entropies = -(log_p.exp() * log_p).sum(-1)
    if gamma < 0:
        chosen = entropies.argmin(-1)[..., None, None].expand(*log_p.shape[:-2], 1, log_p.shape[-1])
        return log_p.gather(-2, chosen).squeeze(-2)
    # A head that is certain has the entropy 0: as small as a number can be, it keeps its infinite weight finite.
    log_weights = (-gamma * entropies.clamp(min=torch.finfo(log_p.dtype).tiny).log()).log_softmax(-1)
    return (log_weights.unsqueeze(-1) + log_p).logsumexp(-2)
