import math

import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.virtual_adversarial import virtual_adversarial
from tests.losses.support import extreme, near, sample, stacked


def inputs(seed=0):
    forward, x, targets, noise = sample("forward", "x", "targets", "noise", seed=seed)
    return forward, x, forward(x), targets, noise


def divergence(p, q):
    return (p * (p / q).log()).sum()


def test_limit():  # weight = 0 is cross-entropy
    forward, x, logits, targets, noise = inputs()
    terms = virtual_adversarial(forward, x, logits, targets, noise, weight=0.0)
    near(terms["cross_entropy"] + terms["virtual_adversarial"], cross_entropy(logits, targets))


def test_oracle():  # section 3 example by example, with the gradient by ordinary autograd
    forward, x, logits, targets, noise = inputs()
    for iterations in (1, 3):
        terms = virtual_adversarial(
            forward, x, logits, targets, noise, radius=0.7, xi=0.01, iterations=iterations, weight=2.0
        )
        for i in range(len(x)):
            p, d = forward(x[i : i + 1]).softmax(-1), noise[i : i + 1] / noise[i].norm()
            for _ in range(iterations):
                r = (0.01 * d).requires_grad_()
                (g,) = torch.autograd.grad(divergence(p, forward(x[i : i + 1] + r).softmax(-1)), r)
                d = g / g.norm()
            near(terms["virtual_adversarial"][i], 2 * divergence(p, forward(x[i : i + 1] + 0.7 * d).softmax(-1)))


def test_hand():  # one input, scores (0, x): every direction is +-1, so from x = 0, p = (1/2, 1/2), and from x + log 3,
    # q = (1/4, 3/4): KL = 1/2 log 2 + 1/2 log(2/3) = 1/2 log(4/3). The gradient at xi > 0 keeps the noise's sign
    def forward(x):
        return torch.cat([torch.zeros_like(x), x], -1)

    x, noise = torch.zeros(1, 1, dtype=torch.float64), torch.full((1, 1), 0.2, dtype=torch.float64)
    terms = virtual_adversarial(forward, x, forward(x), torch.tensor([0]), noise, radius=math.log(3))
    near(terms["virtual_adversarial"], [0.5 * math.log(4 / 3)])
    near(terms["cross_entropy"], [math.log(2)])


def test_finds_the_worst_direction():  # the leading eigenvector of the Hessian of the KL, which is J' (diag p - p p') J
    forward, x, logits, targets, noise = inputs()
    found = virtual_adversarial(forward, x, logits, targets, noise, radius=1e-4, xi=1e-5, iterations=200)
    for i in range(len(x)):
        jacobian = torch.autograd.functional.jacobian(lambda row: forward(row[None])[0], x[i])
        p = logits[i].softmax(-1)
        largest = torch.linalg.eigvalsh(jacobian.T @ (p.diag() - p.outer(p)) @ jacobian)[-1]
        near(found["virtual_adversarial"][i] / 0.5e-8, largest, 2e-3)


def test_images():  # the norm is over all axes of an image
    forward, x, logits, targets, noise = inputs()
    rows = virtual_adversarial(forward, x, logits, targets, noise)
    images = virtual_adversarial(forward, x.view(6, 2, 2, 2), logits, targets, noise.view(6, 2, 2, 2))
    near(images["virtual_adversarial"], rows["virtual_adversarial"])


def test_stops_the_gradient():  # neither the reference distribution nor the direction carries gradient
    forward, x, logits, targets, noise = inputs()
    logits = logits.detach().requires_grad_()
    terms = virtual_adversarial(forward, x, logits, targets, noise)
    assert not terms["virtual_adversarial"].requires_grad
    assert terms["cross_entropy"].requires_grad


def test_gradient():  # that of the KL at a perturbation which does not move with the weights
    _, x, _, targets, noise = inputs()
    weight = sample("forward")[0](torch.eye(8).double()).requires_grad_()  # any 8 x 5 matrix

    def forward(inputs):
        return torch.tanh(inputs @ weight)

    found = virtual_adversarial(forward, x, forward(x), targets, noise, radius=0.7, xi=0.01)["virtual_adversarial"]
    p = forward(x).softmax(-1).detach()
    r = (0.01 * noise / noise.norm(dim=1, keepdim=True)).requires_grad_()
    (g,) = torch.autograd.grad(divergence(p, forward(x + r).softmax(-1)), r)
    expected = divergence(p, forward(x + 0.7 * g / g.norm(dim=1, keepdim=True)).softmax(-1))
    near(torch.autograd.grad(found.sum(), weight)[0], torch.autograd.grad(expected, weight)[0])


def test_small_noise():  # only the direction of the noise counts, even where its squares underflow
    forward, x, logits, targets, noise = (v.float() if isinstance(v, torch.Tensor) else v for v in inputs())
    one = virtual_adversarial(forward, x, logits, targets.long(), noise)
    tiny = virtual_adversarial(forward, x, logits, targets.long(), 1e-30 * noise)
    near(tiny["virtual_adversarial"], one["virtual_adversarial"], 1e-3)


def test_engines():  # a module with ordinary autograd, vmap over its parameters, and vmap of grad: the same gradients
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 5)).double() for _ in range(3)]
    x, targets, noise = sample("x", "targets", "noise")

    def total(forward):
        terms = virtual_adversarial(forward, x, forward(x), targets, noise, iterations=2)
        return torch.stack(list(terms.values())).sum()

    ordinary = [torch.autograd.grad(total(model), list(model.parameters())) for model in models]
    parameters, _ = stack_module_state(models)

    def of_parameters(own):
        return total(lambda inputs: functional_call(models[0], own, (inputs,)))

    batched = torch.autograd.grad(vmap(of_parameters)(parameters).sum(), list(parameters.values()))
    functional = vmap(grad(of_parameters))(parameters).values()
    for i in range(3):
        for one, many, pure in zip(ordinary[i], batched, functional, strict=True):
            near(many[i], one)
            near(pure[i], one)


def test_small_xi():  # in float32, the direction at the default xi is the one of float64
    forward, x, logits, targets, noise = inputs()
    exact = virtual_adversarial(forward, x, logits, targets, noise, xi=1e-6)
    single = virtual_adversarial(forward, x.float(), logits.float(), targets, noise.float())
    near(single["virtual_adversarial"], exact["virtual_adversarial"], 2e-3)


def test_extreme():  # a model with scores of 2e4 that is right or wrong everywhere; and one whose scores grow that fast
    x, targets, noise = sample("x", "targets", "noise")
    x, noise = x.float(), noise.float()
    right = 2e4 * (2 * nn.functional.one_hot(targets, 5).float() - 1)
    for scores, loss in ((right, 0), (-right, 4e4 + math.log(4))):

        def certain(x, scores=scores):
            return virtual_adversarial(lambda inputs: scores * inputs.exp()[:, :1], x, scores, targets, noise)

        values, _ = extreme(certain, torch.zeros_like(x))
        near(values[0], [loss] * 6, 1e-6)
    weight = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))

    def steep(weight):
        def forward(inputs):
            return 2e4 * torch.tanh((inputs - x) @ weight)

        return virtual_adversarial(forward, x, forward(x), targets, noise)

    values, gradients = extreme(steep, weight)
    assert values[1].min() > 1e3 and gradients[0].abs().min() > 1


def test_stacked():
    given = {"logits": [inputs(0)[2] for _ in range(3)]}
    stacked(virtual_adversarial, given, radius=[0.1, 1.0, 2.0], xi=[1e-3, 1e-2, 0.1], weight=[0.0, 1.0, 3.0])
