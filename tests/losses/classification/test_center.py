import math

import torch

from lossbench.losses.classification.center import center, init_params
from lossbench.losses.classification.cross_entropy import cross_entropy
from tests.losses.support import extreme, near, sample, stacked


def centers(seed=0):
    made = init_params(num_outputs=5, num_features=4, generator=torch.Generator().manual_seed(seed))
    return {"centers": made["centers"].double()}


def test_limit():  # weight = 0 is cross-entropy; so is a batch that sits on its centres
    features, logits, targets = sample("features", "logits", "targets")
    terms = center(features, logits, targets, centers(), weight=0.0)
    near(terms["cross_entropy"] + terms["center"], cross_entropy(logits, targets))
    near(center(centers()["centers"][targets], logits, targets, centers(), weight=1.0)["center"], torch.zeros(6))


def test_oracle():  # equation 2, written out over examples and features, also per token
    for tokens in (False, True):
        features, logits, targets = sample("features", "logits", "targets", tokens=tokens)
        terms = center(features, logits, targets, centers(), weight=0.5)
        flat = zip(features.view(-1, 4), targets.flatten(), strict=True)
        expected = [0.25 * sum((f[d] - centers()["centers"][y, d]) ** 2 for d in range(4)) for f, y in flat]
        near(terms["center"], torch.stack(expected).view(targets.shape))
        near(terms["cross_entropy"], cross_entropy(logits, targets))


def test_hand():  # features (1, 2), centre (4, -2): 0.1 / 2 * (9 + 16); p = 3/4
    params = {"centers": torch.tensor([[0.0, 0.0], [4.0, -2.0]], dtype=torch.float64)}
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    terms = center(torch.tensor([[1.0, 2.0]]).double(), logits, torch.tensor([1]), params, weight=0.1)
    near(terms["center"], [1.25])
    near(terms["cross_entropy"], [math.log(4 / 3)])


def test_gradient():  # equation 3 for the features; each centre is pulled by its own class, others are left alone
    features, logits, targets = sample("features", "logits", "targets")
    params = {"centers": centers()["centers"].requires_grad_()}
    features.requires_grad_()
    center(features, logits, targets, params, weight=0.5)["center"].sum().backward()
    difference = features.detach() - params["centers"].detach()[targets]
    near(features.grad, 0.5 * difference)
    pulled = [-0.5 * sum(difference[targets == c], torch.zeros(4).double()) for c in range(5)]
    near(params["centers"].grad, torch.stack(pulled))


def test_init():  # from the generator, at norm about 1
    params = init_params(num_outputs=200, num_features=300, generator=torch.Generator().manual_seed(0))
    assert params["centers"].shape == (200, 300)
    near(params["centers"].square().sum(-1).mean(), 1.0, 0.03)


def test_extreme():  # (2e4 - 0)^2 / 2 * weight; wrong by 4e4
    logits, targets = torch.tensor([[-2e4, 2e4]]), torch.tensor([0])
    params = {"centers": torch.zeros(2, 1)}
    values, gradients = extreme(center, torch.tensor([[2e4]]), logits, targets, params, weight=1.0)
    near(values[0], [4e4])
    near(values[1], [2e8])
    near(gradients[0], [[2e4]])
    near(gradients[1], [[-1, 1]])
    near(gradients[2], [[-2e4], [0]])
    near(extreme(center, torch.zeros(1, 1), -logits, targets, params)[0][1], [0])


def test_stacked():
    stacked(center, {"params": [centers(0), centers(1), centers(2)]}, weight=[0.0, 0.003, 1.0])
