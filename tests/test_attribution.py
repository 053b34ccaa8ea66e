"""Predicted logits of a model without some examples: against linear algebra written out, and against retraining."""

import pytest
import torch
from torch import nn

from lossbench.attribution import Removal, conjugate_gradients
from lossbench.models.linear import linear
from lossbench.models.mlp import mlp
from tests.models.support import built, images

DAMPING = 0.01


def data(n=60, features=4, classes=3):
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % classes
    means = torch.randn((classes, features), generator=generator)
    x = means[targets] + torch.randn((n, features), generator=generator)
    return x, targets, torch.arange(n) % 10 == 0


def trained(model, x, targets, total):
    """The minimum of sum cross-entropy + total damping / 2 |theta|^2."""
    model = model.double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14,
                                  line_search_fn="strong_wolfe")  # fmt: skip

    def closure():
        optimizer.zero_grad()
        penalty = total * DAMPING / 2 * sum(p.square().sum() for p in model.parameters())
        loss = nn.functional.cross_entropy(model(x.double()), targets, reduction="sum") + penalty
        loss.backward()
        return loss

    optimizer.step(closure)
    return model


def vector(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("make", [lambda: linear(input_shape=(4,), num_outputs=3),
                                  lambda: mlp(input_shape=(4,), num_outputs=3, widths=(5,))])  # fmt: skip
def test_equation(make):  # Jacobians one by one, the matrix G as it is, and a dense solve
    model, (x, targets, removed) = built(make).double(), data()
    names = [name for name, _ in model.named_parameters()]

    def jacobian(row):
        found = torch.func.jacrev(lambda w: torch.func.functional_call(model, w, (row[None].double(),))[0])(
            dict(model.named_parameters())
        )
        return torch.cat([found[name].detach().flatten(1) for name in names], 1)

    matrix = torch.eye(vector(model).numel(), dtype=torch.float64) * DAMPING * len(x)
    force = torch.zeros(len(matrix), dtype=torch.float64)
    for row, target, gone in zip(x, targets, removed, strict=True):
        j, p = jacobian(row), model(row[None].double())[0].detach().softmax(-1)
        matrix += j.T @ (p.diag() - p.outer(p)) @ j
        force += gone * (j.T @ (p - nn.functional.one_hot(target, 3)))
    delta = torch.linalg.solve(matrix, force)
    removal = Removal(model, x, targets, removed, damping=DAMPING)
    torch.testing.assert_close(torch.cat([removal.delta[n].flatten() for n in names]), delta, rtol=1e-6, atol=1e-9)
    new = images(7, 4)
    expected = torch.stack([model(row[None].double())[0] + jacobian(row) @ delta for row in new]).detach()
    torch.testing.assert_close(removal.logits(new), expected.float(), rtol=1e-5, atol=1e-6)


def test_retraining():  # of a convex model: most of the way to the model without the examples, on all inputs
    x, targets, removed = data()
    model = trained(built(lambda: linear(input_shape=(4,), num_outputs=3)), x, targets, len(x))
    without = trained(built(lambda: linear(input_shape=(4,), num_outputs=3)), x[~removed], targets[~removed], len(x))
    removal = Removal(model, x, targets, removed, damping=DAMPING)
    new = torch.cat([x, images(50, 4)]).double()
    moved, predicted = without(new) - model(new), removal.logits(new) - model(new)
    assert (predicted - moved).norm() < 0.35 * moved.norm()
    assert torch.corrcoef(torch.stack([moved.flatten(), predicted.flatten()]))[0, 1] > 0.95


def test_additive():  # a linear datamodel: what two sets have added is the sum of what each has
    model, (x, targets, removed) = built(lambda: mlp(input_shape=(4,), num_outputs=3, widths=(5,))), data()
    other = torch.arange(len(x)) % 7 == 3
    base = model.double()(images(9, 4).double())
    changes = [
        Removal(model, x, targets, taken, damping=DAMPING).logits(images(9, 4).double()) - base
        for taken in (removed & ~other, other, removed | other)
    ]
    torch.testing.assert_close(changes[0] + changes[1], changes[2], rtol=1e-6, atol=1e-8)
    assert changes[0].abs().max() > 1e-3


def test_nothing_removed():
    model, (x, targets, removed) = built(lambda: linear(input_shape=(4,), num_outputs=3)), data()
    removal = Removal(model, x, targets, torch.zeros_like(removed), damping=DAMPING)
    torch.testing.assert_close(removal.logits(x), model(x))


def test_conjugate_gradients():  # of an ill-conditioned system, as numpy solves it
    generator = torch.Generator().manual_seed(0)
    root = torch.randn((8, 8), generator=generator, dtype=torch.float64)
    matrix = root @ root.T + 1e-3 * torch.eye(8)
    right = torch.randn(8, generator=generator, dtype=torch.float64)
    found = conjugate_gradients(lambda v: {"a": matrix @ v["a"]}, {"a": right}, tolerance=1e-12, steps=100)["a"]
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right), rtol=1e-7, atol=1e-9)
