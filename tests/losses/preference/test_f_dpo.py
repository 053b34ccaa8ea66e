import pytest
import torch

from lossbench.losses.preference.dpo import dpo
from lossbench.losses.preference.f_dpo import f_dpo
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("chosen_logps", "rejected_logps", "ref_chosen_logps", "ref_rejected_logps")

GENERATORS = {  # f of each divergence, whose derivatives the loss has: f(1) = 0
    "reverse_kl": lambda u, alpha: u * u.log(),
    "forward_kl": lambda u, alpha: -u.log(),
    "jensen_shannon": lambda u, alpha: u * u.log() - (1 + u) * ((1 + u) / 2).log(),
    "alpha": lambda u, alpha: (u ** (1 - alpha) - (1 - alpha) * u - alpha) / (alpha * (alpha - 1)),
}


def test_limit():  # the reverse KL is dpo; alpha near 0 is the reverse KL, near 1 the forward KL
    values = sample(*WORDS)
    near(f_dpo(*values, divergence="reverse_kl", beta=0.3), dpo(*values, beta=0.3))
    near(f_dpo(*values, divergence="alpha", alpha=1e-7, beta=0.3), dpo(*values, beta=0.3), 1e-5)
    forward = f_dpo(*values, divergence="forward_kl", beta=0.3)
    near(f_dpo(*values, divergence="alpha", alpha=1 - 1e-9, beta=0.3), forward, 1e-6)


@pytest.mark.parametrize("divergence", GENERATORS)
def test_oracle(divergence):  # equation 9, with f' by automatic differentiation of the generator of the divergence
    def loop(chosen, rejected, ref_chosen, ref_rejected, beta, alpha):
        losses = []
        for w, v, rw, rv in zip(chosen, rejected, ref_chosen, ref_rejected, strict=True):
            slopes = []
            for ratio in (w - rw, v - rv):
                u = ratio.exp().requires_grad_()
                slopes.append(torch.autograd.grad(GENERATORS[divergence](u, alpha), u)[0])
            losses.append(-torch.sigmoid(beta * slopes[0] - beta * slopes[1]).log())
        return torch.stack(losses)

    values = sample(*WORDS)
    for alpha in (0.3, 0.8):
        near(f_dpo(*values, divergence=divergence, alpha=alpha, beta=0.2), loop(*values, beta=0.2, alpha=alpha), 1e-8)


def test_hand():  # u = 2 and 1/2, beta 1: forward KL -1/2 + 2; Jensen-Shannon log(4/3) - log(2/3) = log 2
    log = torch.tensor([2.0], dtype=torch.float64).log()
    given = [-1 + log, -1 - log, torch.full_like(log, -1.0), torch.full_like(log, -1.0)]
    near(f_dpo(*given, divergence="forward_kl", beta=1.0), (1 + torch.tensor(-1.5).double().exp()).log())
    near(f_dpo(*given, divergence="jensen_shannon", beta=1.0), torch.tensor(1.5).double().log())  # 1 + 1/2
    # alpha 1/2: 2 (1 - 2^-1/2) - 2 (1 - 2^1/2) = 2 (2^1/2 - 2^-1/2) = 2^1/2
    near(f_dpo(*given, divergence="alpha", alpha=0.5, beta=1.0), (1 + (-torch.tensor(2.0).double().sqrt()).exp()).log())


@pytest.mark.parametrize("divergence", GENERATORS)
def test_extreme(divergence):  # what is far less likely than under the reference still has a gradient
    far = torch.tensor([-6e4, -200.0, 0.0])
    zeros = torch.zeros(3)
    _, gradients = extreme(f_dpo, far, zeros, zeros, zeros, divergence=divergence)
    assert (gradients[0][:2] < -1e-3).all()


def test_stacked():
    stacked(f_dpo, beta=[0.01, 0.1, 1.0])
    for divergence in GENERATORS:
        names = {name: [0.2, 0.5, 0.9] for name in ("alpha", "beta")}
        stacked(f_dpo, **names) if divergence == "jensen_shannon" else _stacked_alpha(divergence, names)


def _stacked_alpha(divergence, names):  # the property suite stacks numbers of the default divergence alone
    values = sample(*WORDS)
    tensors = [torch.tensor(v, dtype=torch.float64) for v in names.values()]
    found = torch.vmap(lambda alpha, beta: f_dpo(*values, divergence=divergence, alpha=alpha, beta=beta))(*tensors)
    for i in range(3):
        near(found[i], f_dpo(*values, divergence=divergence, **{name: v[i] for name, v in names.items()}))
