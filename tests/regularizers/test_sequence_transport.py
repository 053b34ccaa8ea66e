import itertools

import pytest
import torch
from scipy.optimize import linprog

from lossbench.regularizers.sequence_transport import _transport_plan, sequence_transport
from tests.losses.support import near, sample

WORDS = ("logits", "targets", "mask", "token_embeddings")


def cheapest(cost):
    """Of all plans between uniform weights, by linear programming."""
    rows, columns = cost.shape
    sides = torch.zeros(rows + columns, rows, columns)
    for i in range(rows):
        sides[i, i] = 1
    for j in range(columns):
        sides[rows + j, :, j] = 1
    amounts = [1 / rows] * rows + [1 / columns] * columns
    return linprog(cost.flatten().numpy(), A_eq=sides.flatten(1).numpy(), b_eq=amounts).fun


def test_limit():  # the reference's tokens for certain, in whatever order: nothing is to be moved; and no weight
    targets = torch.tensor([[3, 1, 4, 1]])
    said = 100.0 * torch.nn.functional.one_hot(targets[:, [1, 2, 0, 3]], 5).double()
    mask, (embeddings,) = torch.ones_like(targets, dtype=torch.bool), sample("token_embeddings")
    near(sequence_transport(said, targets, mask, embeddings, iterations=300), [0.0], 1e-6)
    assert sequence_transport(said.roll(1, -1), targets, mask, embeddings).item() > 0.01
    near(sequence_transport(*sample(*WORDS, tokens=True), weight=0.0), torch.zeros(6))


def test_oracle():  # the exact optimum over the tokens that count
    logits, targets, mask, embeddings = sample(*WORDS, tokens=True)
    found = sequence_transport(logits, targets, mask, embeddings, weight=2.0, temperature=0.3, iterations=3000)
    for row in range(6):
        kept = mask[row]
        said = (logits[row, kept] / 0.3).softmax(-1) @ embeddings
        cost = 1 - torch.cosine_similarity(said.unsqueeze(1), embeddings[targets[row, kept]].unsqueeze(0), dim=-1)
        near(found[row], 2 * cheapest(cost), 1e-3)


def test_hand():  # one place each: the cost itself. Embeddings at right angles, half of each: 1 - 1 / sqrt 2
    embeddings = torch.eye(2).double()
    mask = torch.tensor([[True, False]])
    logits = torch.tensor([[[0.0, 0.0], [9.0, 0.0]]]).double()
    near(sequence_transport(logits, torch.tensor([[1, 0]]), mask, embeddings, weight=3.0), [3 * (1 - 0.5**0.5)])


def test_plan():  # its sides are uniform on the places that count
    cost = torch.rand(4, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    places = torch.tensor([[True] * n + [False] * (6 - n) for n in (6, 3, 1, 0)])
    plan = _transport_plan(cost, places.unsqueeze(-1) & places.unsqueeze(-2), 0.5, 200)
    wanted = places / places.sum(1, keepdim=True).clamp(min=1)
    for side in (plan.sum(1), plan.sum(2)):
        near(side, wanted, 1e-3)
    one = cost[1, :3, :3]
    best = min(sum(one[i, p[i]].item() for i in range(3)) for p in itertools.permutations(range(3))) / 3
    assert (plan[1] * cost[1]).sum().item() == pytest.approx(best, abs=2e-3)


def test_gradient_leaves_the_plan_alone():  # with the plan as it is, the derivative of the cost
    logits, targets, mask, embeddings = sample(*WORDS, tokens=True)
    logits.requires_grad_()
    (found,) = torch.autograd.grad(sequence_transport(logits, targets, mask, embeddings).sum(), logits)
    said = (logits / 0.5).softmax(-1) @ embeddings
    cost = 1 - torch.cosine_similarity(said.unsqueeze(2), embeddings[targets].unsqueeze(1), dim=-1)
    both = mask.unsqueeze(-1) & mask.unsqueeze(-2)
    plan = _transport_plan(cost.detach(), both, 0.5, 50)
    near(found, torch.autograd.grad((0.1 * plan * cost).sum(), logits)[0], 1e-9)
