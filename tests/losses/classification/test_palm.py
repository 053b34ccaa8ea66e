import math

import torch
import torch.nn.functional as F

from lossbench.losses.classification.palm import _sinkhorn, init_state, palm
from tests.losses.support import extreme, near, sample


def inputs(prototypes=3, seed=0, batch=6):
    embeddings, targets = sample("embeddings", "targets", B=batch, seed=seed)
    drawn = torch.randn(5 * prototypes, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return embeddings, targets, {"prototypes": F.normalize(drawn, dim=1)}


def slow_sinkhorn(z, p, epsilon):
    """Prototypes sum to 1 / J, then examples to 1 / B, three times; at the end examples to 1."""
    q = [[math.exp(float(a @ b) / epsilon) for b in p] for a in z]
    for _ in range(3):
        columns = [sum(row[j] for row in q) for j in range(len(p))]
        q = [[value / columns[j] / len(p) for j, value in enumerate(row)] for row in q]
        q = [[value / sum(row) / len(z) for value in row] for row in q]
    return [[value * len(z) for value in row] for row in q]


def slow(embeddings, targets, state, K, kept, momentum=0.9):
    """The method example by example and prototype by prototype."""
    z, p, C = [e / e.norm() for e in embeddings], list(state["prototypes"]), 5

    def weights(q, chosen):
        return [[q[i][j] / sum(q[i][k] for k in chosen[i]) if j in chosen[i] else 0.0 for j in range(K * C)]
                for i in range(len(z))]  # fmt: skip

    q = slow_sinkhorn(z, p, 0.05)
    chosen = []
    for i, y in enumerate(targets.tolist()):
        own = [k * C + y for k in range(K)]
        chosen.append(sorted(own, key=lambda j, i=i: -q[i][j])[: min(kept, K)])
    w, new = weights(q, chosen), []
    for j in range(K * C):
        total = sum(w[i][j] for i in range(len(z)))
        update = sum(w[i][j] / total * z[i] for i in range(len(z))) if total else torch.zeros(4).double()
        moved = momentum * p[j] + (1 - momentum) * update
        new.append(moved / moved.norm())
    w = weights(slow_sinkhorn(z, new, 0.05), chosen)
    likelihood = []
    for i in range(len(z)):
        scores = [float(z[i] @ b) / 0.1 for b in new]
        likelihood.append(math.log(sum(map(math.exp, scores))) - sum(a * s for a, s in zip(w[i], scores, strict=True)))
    contrast = 0.0
    for j in range(K * C):
        others = [k for k in range(K * C) if k != j]
        alike = [k for k in others if k % C == j % C]
        mean = sum(float(new[j] @ new[k]) / 0.5 for k in alike) / max(len(alike), 1)
        contrast += math.log(sum(math.exp(float(new[j] @ new[k]) / 0.5) for k in others)) - mean
    return torch.tensor(likelihood), contrast / (K * C), torch.stack(new)


def test_oracle():
    for K, kept in ((3, 2), (3, 5), (4, 1)):
        likelihood, contrast, new = slow(*inputs(K), K, kept)
        terms, state = palm(*inputs(K), prototypes=K, kept=kept, momentum=0.9, weight=2.0)
        near(terms["likelihood"], likelihood, 1e-6)
        near(terms["contrast"], 2 * contrast)
        near(state["prototypes"], new)


def test_limit():  # one prototype a class: cross-entropy of the cosines with the prototypes that were moved
    embeddings, targets, state = inputs(1)
    terms, new = palm(embeddings, targets, state, prototypes=1, kept=1, momentum=0.5)
    cosines = F.cosine_similarity(embeddings.unsqueeze(1), new["prototypes"], dim=-1)
    near(terms["likelihood"], F.cross_entropy(cosines / 0.1, targets, reduction="none"))
    for c in range(5):  # half the way to the mean direction of the class, where there is one
        of_class = F.normalize(embeddings[targets == c], dim=1)
        moved = state["prototypes"][c] + of_class.mean(0) if len(of_class) else state["prototypes"][c]
        near(new["prototypes"][c], moved / moved.norm())
    near(palm(embeddings, targets, state, prototypes=1, weight=0.0)[0]["contrast"], 0.0)


def test_hand():  # two classes with one prototype each, at right angles; the example on its own: log(1 + e^-10). The
    # prototypes do not move. The contrast has only the other one, at cosine 0: log e^0
    state = {"prototypes": torch.eye(2).double()}
    terms, new = palm(torch.tensor([[3.0, 0.0]]).double(), torch.tensor([0]), state, prototypes=1)
    near(terms["likelihood"], [math.log1p(math.exp(-10))])
    near(terms["contrast"], 0.0)
    near(new["prototypes"], torch.eye(2))


def test_sinkhorn_uses_all_prototypes():  # rows sum to 1; of four examples that like the first column, it gets two,
    # within what three rounds leave; without them, four
    similarities = torch.tensor([[1.0, 0.0], [0.9, 0.0], [0.8, 0.0], [0.7, 0.0]]).double()
    q = _sinkhorn(similarities, 0.05)
    near(q.sum(1), [1.0] * 4)
    assert (q.sum(0) - 2).abs().max() < 0.5 and (similarities / 0.05).softmax(1).sum(0)[1] < 1e-5


def test_gradients():  # the contrast reaches the embeddings through the update, the likelihood directly
    embeddings, targets, state = inputs()
    embeddings.requires_grad_()
    terms, new = palm(embeddings, targets, state, prototypes=3, momentum=0.9)
    assert not new["prototypes"].requires_grad
    for term in terms.values():
        gradient = torch.autograd.grad(term.sum(), embeddings, retain_graph=True)[0]
        assert (gradient.abs().sum(1) > 0).all()


def test_memory():
    state = init_state(num_outputs=5, num_features=4, device=torch.device("cpu"), generator=torch.Generator())
    near(state["prototypes"].norm(dim=1), torch.ones(30), 1e-6)
    sized = init_state(num_outputs=5, num_features=4, device=torch.device("cpu"), generator=torch.Generator(), size=7)
    assert sized["prototypes"].shape == (30, 7)


def test_extreme():  # opposite to its prototype: 10 + log(1 + ...) of cosines -1 and 0
    state = {"prototypes": torch.eye(2)}

    def run(embeddings):
        return palm(embeddings, torch.tensor([0]), state, prototypes=1, momentum=0.999)[0]

    values, _ = extreme(run, torch.tensor([[-2e4, 0.0]]))
    near(values[0], [math.log(math.exp(10) + 1)], 1e-2)
