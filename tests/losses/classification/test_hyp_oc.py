import math

import torch

from lossbench.losses.classification.hyp_oc import hyp_oc, init_state
from tests.losses.support import extreme, near, sample


def inputs(seed=0):
    features, noise, classify = sample("features", "noise", "classify", seed=seed)
    return features, noise, classify, {"mean": torch.arange(4).double()}


def arcosh_distance(x, y, c):
    """The other closed form of the distance of the Poincare ball."""
    apart = ((x - y) ** 2).sum()
    return torch.acosh(1 + 2 * c * apart / ((1 - c * (x**2).sum()) * (1 - c * (y**2).sum()))) / math.sqrt(c)


def test_limit():  # flat space: twice the Euclidean distance. weight = 0: cross-entropy alone
    features, noise, classify, state = inputs()
    h = classify(features)[:, 2:]
    expected = sum(2 * (h[i] - h[i + 3]).norm() for i in range(3)) / 3
    for curvature in (0.0, 1e-12):
        terms, _ = hyp_oc(features, noise, classify, state, curvature=curvature)
        near(terms["pairwise_confusion"], expected, 1e-6)
    near(hyp_oc(features, noise, classify, state, weight=0.0)[0]["pairwise_confusion"], 0.0)


def test_oracle():  # example by example, with the distance in its other closed form
    features, noise, classify, state = inputs()
    terms, new = hyp_oc(features, noise, classify, state, sigma=0.7, decay=0.6, weight=2.0)
    mean = 0.6 * torch.arange(4).double() + 0.4 * sum(features) / 6
    near(new["mean"], mean)
    total = 0.0
    for f, e in zip(features, noise, strict=True):
        for row, label in ((f, 0), (mean + 0.7 * e[:4], 1)):
            total -= classify(row[None])[0, :2].softmax(-1)[label].log()
    near(terms["cross_entropy"], total / 12)
    h = classify(features)[:, 2:]
    expected = sum(arcosh_distance(h[i], h[i + 3], 0.1) for i in range(3)) / 3
    near(terms["pairwise_confusion"], 2 * expected)


def test_hand():  # logits 0 everywhere: log 2. Points 0 and 3/5 in the unit ball: 2 artanh(3/5) = log 4
    outputs = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.6]], dtype=torch.float64)
    features, noise, state = torch.zeros(2, 1).double(), torch.zeros(2, 1).double(), {"mean": torch.zeros(1).double()}
    terms, _ = hyp_oc(features, noise, lambda _: outputs, state, curvature=1.0)
    near(terms["cross_entropy"], math.log(2))
    near(terms["pairwise_confusion"], math.log(4))


def test_an_odd_batch():  # the last one has no partner
    features, noise, classify, state = inputs()
    odd = hyp_oc(features[:5], noise[:5], classify, state)[0]["pairwise_confusion"]
    h = classify(features)[:, 2:]
    near(odd, (arcosh_distance(h[0], h[2], 0.1) + arcosh_distance(h[1], h[3], 0.1)) / 2)
    near(hyp_oc(features[:1], noise[:1], classify, state)[0]["pairwise_confusion"], 0.0)


def test_stops_the_gradient():  # the pseudo-negatives do not pull at the features
    features, noise, classify, state = inputs()
    features.requires_grad_()
    one = torch.autograd.grad(hyp_oc(features, noise, classify, state)[0]["cross_entropy"], features)[0]
    p = classify(features)[:, :2].log_softmax(-1)[:, 0]
    near(one, torch.autograd.grad(-p.mean() / 2, features)[0])


def test_memory():  # starts at 0
    assert init_state(num_features=3, device=torch.device("cpu"))["mean"].tolist() == [0, 0, 0]


def test_extreme():  # certain and wrong by 2e4: half the examples, so 1e4 * ... of 2 * 2e4; points on the boundary
    outputs = torch.tensor([[-2e4, 2e4, 1.0], [-2e4, 2e4, -1.0]])
    noise, state = torch.zeros(2, 1), {"mean": torch.zeros(1)}

    def run(features):
        return hyp_oc(features, noise, lambda f: outputs + 0 * f, state, curvature=1.0)[0]

    values, _ = extreme(run, torch.zeros(2, 1))
    near(values[0], 2e4)
    near(values[1], 2 * math.atanh(1 - 1e-5), 1e-2)
