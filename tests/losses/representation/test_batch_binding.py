import math

import torch

from lossbench.losses.representation.batch_binding import batch_binding
from lossbench.losses.representation.supervised_contrastive import supervised_contrastive
from tests.losses.support import near, same, sample


def test_limit():  # without fixed examples it is the mean over the batch
    embeddings, targets = sample("embeddings", "targets")
    none = torch.zeros(0, 4, dtype=torch.float64), torch.zeros(0, dtype=torch.long)
    near(batch_binding(embeddings, targets, *none), supervised_contrastive(embeddings, targets).mean())


def test_oracle():  # by a loop over batch and fixed examples
    def equation(embeddings, targets, bound_embeddings, bound_targets):
        h = [e / e.norm() for e in (*embeddings, *bound_embeddings)]
        classes = [*targets.tolist(), *bound_targets.tolist()]
        total = 0.0
        for i, y in enumerate(classes):
            own = [j for j in range(len(h)) if j != i and classes[j] == y]
            others = sum(torch.exp(h[i] @ h[k] / 0.3) for k in range(len(h)) if k != i)
            total += sum(torch.log(others) - h[i] @ h[j] / 0.3 for j in own) / len(own)
        return total / len(h)

    same(batch_binding, equation, temperature=0.3)


def test_hand():  # an example on its fixed one, another class at a right angle: twice log(1 + 1/e), once 0
    embeddings, bound = torch.tensor([[2.0, 0.0]]).double(), torch.tensor([[1.0, 0.0], [0.0, 5.0]]).double()
    found = batch_binding(embeddings, torch.tensor([0]), bound, torch.tensor([0, 1]), temperature=1.0)
    near(found, 2 / 3 * math.log(1 + math.exp(-1)))
