import math

import torch
import torch.nn.functional as F

from lossbench.losses.representation.supervised_contrastive import supervised_contrastive
from tests.losses.support import near, same, sample


def test_limit():  # classes at orthogonal points: log(n_y - 1 + (n - n_y) exp(-1 / temperature)), for every class size
    targets = torch.tensor([0, 0, 0, 1, 1, 2])
    sizes = torch.tensor([3, 3, 3, 2, 2, 1], dtype=torch.float64)
    embeddings = 7 * F.one_hot(targets, 4).double()
    expected = (sizes - 1 + (6 - sizes) * math.exp(-2)).log() + 0 * sizes
    expected[5] = 0  # alone in its class
    near(supervised_contrastive(embeddings, targets, temperature=0.5), expected)


def test_oracle():  # the equation by a loop
    def equation(embeddings, targets):
        h = [e / e.norm() for e in embeddings]
        losses = []
        for i, y in enumerate(targets):
            positives = [j for j in range(len(h)) if j != i and targets[j] == y]
            terms = [
                torch.log(sum(torch.exp((h[i] @ h[k] - h[i] @ h[j]) / 0.2) for k in range(len(h)) if k != i))
                for j in positives
            ]
            losses.append(sum(terms) / len(terms) if terms else embeddings.sum() * 0)
        return torch.stack(losses)

    same(supervised_contrastive, equation, temperature=0.2)


def test_hand():  # two of a class at a right angle, one of another on the first: log(1 + e) and log 2 at temperature 1
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 0.0]], dtype=torch.float64)
    found = supervised_contrastive(embeddings, torch.tensor([0, 0, 1]), temperature=1.0)
    near(found, [math.log(1 + math.e), math.log(2), 0.0])


def test_the_orthogonal_frame_is_the_least_for_unbalanced_classes():  # free embeddings >= 0, as in Kini et al.
    targets = torch.tensor([0] * 5 + [1] * 2 + [2] * 2)
    free = torch.rand(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        loss = supervised_contrastive(free.clamp(min=1e-6), targets, temperature=1.0).mean()
        loss.backward()
        optimizer.step()
    frame = supervised_contrastive(F.one_hot(targets, 4).double(), targets, temperature=1.0).mean()
    near(loss, frame, 1e-3)
    assert loss >= frame - 1e-9


def test_alone():
    (embeddings,) = sample("embeddings")
    near(supervised_contrastive(embeddings[:1], torch.tensor([0])), [0.0])
