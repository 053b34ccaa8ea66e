import torch

from lossbench.losses.multilabel.sparsemax import sparsemax
from lossbench.ops import one_hot
from tests.losses.support import extreme, near, same, sample


def projection(z):
    """(p, tau) of one row: tau by bisection of sum max(z - tau, 0) = 1."""
    low, high = z.max() - 1, z.max()
    for _ in range(200):
        tau = (low + high) / 2
        low, high = (tau, high) if (z - tau).clamp(min=0).sum() > 1 else (low, tau)
    return (z - low).clamp(min=0), low


def test_limit():  # 0 where the label's score exceeds the others by 1, and just not where it does not
    logits = torch.tensor([[2.0, 1.0, 0.5], [7.0, -3.0, 2.0], [1.99, 1.0, 0.0]], dtype=torch.float64)
    found = sparsemax(logits, one_hot(torch.zeros(3, dtype=torch.long), 3, torch.float64))
    near(found[:2], [0.0, 0.0])
    assert found[2] > 1e-6
    near(sparsemax(logits, torch.zeros(3, 3, dtype=torch.float64)), torch.zeros(3))  # no label


def test_oracle():  # the paper's expression, with tau by bisection
    def equation(logits, labels):
        losses = []
        for z, y in zip(logits.flatten(0, -2), labels.flatten(0, -2), strict=True):
            q, (p, tau) = y / y.sum().clamp(min=1), projection(z)
            support = z[p > 0].square() - tau**2
            losses.append((-(q * z).sum() + support.sum() / 2 + q.square().sum() / 2) if y.sum() else z.sum() * 0)
        return torch.stack(losses)

    same(sparsemax, equation)


def test_gradient():  # p - q
    logits, labels = sample("logits", "labels")
    labels[:, 0] = 1  # everybody has a label
    logits = (2 * logits).requires_grad_()
    (found,) = torch.autograd.grad(sparsemax(logits, labels).sum(), logits)
    p = torch.stack([projection(z)[0] for z in logits.detach()])
    near(found, p - labels / labels.sum(-1, keepdim=True))
    assert (p == 0).any() and (p > 0).any()


def test_hand():  # two classes, margin t = z_0 - z_1: 0 from 1 on, (1 - t)^2 / 4 in between, -t up to -1
    t = torch.tensor([1.5, 0.5, 0.0, -0.5, -1.0, -3.0], dtype=torch.float64)
    logits, labels = torch.stack([t, torch.zeros(6)], -1), torch.tensor([[1.0, 0.0]] * 6, dtype=torch.float64)
    near(sparsemax(logits + 4, labels), [0, 1 / 16, 1 / 4, 9 / 16, 1, 3])


def test_large_scores():  # float32: the value of float64, where the paper's expression would cancel
    logits, labels = torch.tensor([[300.0, 299.7, -5.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    values, _ = extreme(sparsemax, logits, labels)
    near(values[0], sparsemax(torch.tensor([[0.3, 0.0, -304.7]], dtype=torch.float64), labels.double()), 1e-4)
