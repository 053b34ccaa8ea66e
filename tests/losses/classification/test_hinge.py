import torch

from lossbench.losses.classification.hinge import hinge
from tests.losses.support import near, same


def test_limit():  # a lead of one or more costs nothing; no lead at all costs one
    near(hinge(torch.tensor([[3.0, 1.0, 2.0], [4.0, 1.0, 2.0]]), torch.tensor([0, 0])), [0, 0])
    near(hinge(torch.zeros(2, 3), torch.tensor([0, 2])), [1, 1])


def test_oracle():  # torch's multi-class margin loss counts every class, so of two classes it is half of it
    def multi_margin(logits, targets):
        pair = logits[..., :2].reshape(-1, 2)
        values = torch.nn.functional.multi_margin_loss(pair, targets.flatten() % 2, reduction="none")
        return 2 * values.view(targets.shape)

    same(lambda logits, targets: hinge(logits[..., :2], targets % 2), multi_margin)


def test_hand():  # 2 against a best other of 2.5: 1 + 0.5
    near(hinge(torch.tensor([[2.0, 2.5, -1.0]]), torch.tensor([0])), [1.5])
