import math

import pytest
import torch
from torch import tensor

from lossbench.losses.preference.f_dpg import SLOPES, f_dpg, init_state
from tests.losses.support import near, sample

# f of D_f = E_p f(pi / p), as the paper's table has them
F = {
    "forward_kl": lambda t: -t.log(),
    "reverse_kl": lambda t: t * t.log(),
    "total_variation": lambda t: (t - 1).abs() / 2,
    "jensen_shannon": lambda t: t * (2 * t / (t + 1)).log() + (2 / (t + 1)).log(),
    "chi_square": lambda t: (t - 1).square() / t,
    "reverse_chi_square": lambda t: (t - 1).square(),
}
WORDS = ("ranking_logps", "old_ranking_logps", "ref_ranking_logps", "ranking_logps", "prompt_ids")


def policies():
    """log pi with gradient, log ref, rewards, of seven completions; and the exact constant of ref exp(r / 0.7)"""
    draw = torch.randn((3, 7), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits = draw[0].requires_grad_()
    ref, rewards = draw[1].log_softmax(0), draw[2]
    return logits, ref, rewards, (ref + rewards / 0.7).logsumexp(0)


@pytest.mark.parametrize("divergence", F)
def test_limit(divergence):
    """Every completion as often as q has it, so that the mean is the expectation under q: then Z is exact, and the
    gradient is that of the divergence, for samples of any q."""
    logits, ref, rewards, log_z = policies()
    log_pi, p = logits.log_softmax(0), (ref + rewards / 0.7 - log_z).exp()
    exact = torch.autograd.grad((p * F[divergence](log_pi.exp() / p)).sum(), logits, retain_graph=True)[0]
    often = tensor([1, 2, 3, 4, 1, 5, 4])
    drawn = torch.arange(7).repeat_interleave(often)
    q = (often.double() / often.sum()).log()
    state = {name: value.double() for name, value in init_state(num_examples=3).items()}
    rows = [values[drawn].unsqueeze(0) for values in (log_pi, q, ref, rewards)]
    value, state = f_dpg(*rows, tensor([1]), state, divergence=divergence, beta=0.7)
    near(torch.autograd.grad(value.sum(), logits)[0], exact)
    near((state["log_sum"] - state["count"].log())[1], log_z.item())


def test_oracle():  # by loops, over two batches: Z of each prompt from both, the baseline from the first alone
    batches = [sample(*WORDS[:3], WORDS[3], WORDS[4], seed=seed) for seed in (0, 100)]
    state = {name: value.double() for name, value in init_state(num_examples=5).items()}
    sums, counts = [0.0] * 5, [0] * 5
    pseudo = []
    for batch in batches:
        found, state = f_dpg(*batch, state, divergence="jensen_shannon", beta=2.0)
        pi, old, ref, rewards, prompts = batch
        for i, prompt in enumerate(prompts.tolist()):
            sums[prompt] += sum(math.exp(ref[i, k] + rewards[i, k] / 2 - old[i, k]) for k in range(pi.shape[1]))
            counts[prompt] += pi.shape[1]
        baseline, own = sum(pseudo) / max(len(pseudo), 1), []
        for i, prompt in enumerate(prompts.tolist()):
            total = 0.0
            for k in range(pi.shape[1]):
                t = math.exp(pi[i, k] - ref[i, k] - rewards[i, k] / 2) * sums[prompt] / counts[prompt]
                own.append(-math.log(2 * t / (1 + t)))
                total += math.exp(pi[i, k] - old[i, k]) * -(own[-1] - baseline) * pi[i, k]
            near(found[i], total / pi.shape[1])
        pseudo += own


def test_hand():
    """One completion, pi = q = 1/2, ref 1/4, reward 0: Z is 1/2 and t = 1/2 * 1/2 / (1/4) = 1, where the slope of the
    reverse KL is 1: log(1/2). Then, with the reward log 2: P is 1/2 and Z the mean of 1/2 and 1, t = 3/4, and the
    baseline -1."""
    state = init_state(num_examples=1)
    half, quarter = tensor([[0.5]]).log(), tensor([[0.25]]).log()
    value, state = f_dpg(half, half, quarter, tensor([[0.0]]), tensor([0]), state, divergence="reverse_kl")
    near(value, [math.log(0.5)], 1e-6)
    value, state = f_dpg(half, half, quarter, tensor([[2.0]]).log(), tensor([0]), state, divergence="reverse_kl")
    near(value, [math.log(0.75) * math.log(0.5)], 1e-6)
    near(state["baseline"], [-1 - math.log(0.75) / 2], 1e-6)


def test_slopes_are_those_of_the_divergences():
    t = torch.linspace(0.1, 4, 9, dtype=torch.float64).requires_grad_()
    for name, f in F.items():
        near(SLOPES[name](t.detach().log()), torch.autograd.grad(f(t).sum(), t)[0])


def test_reverse_kl_is_reinforce_of_reward_minus_kl():  # the gradients differ by a constant times that of sum log pi
    logits, ref, rewards, _ = policies()
    log_pi = logits.log_softmax(0)
    rows = [v.unsqueeze(0) for v in (log_pi, log_pi.detach(), ref, rewards)]
    state = {name: value.double() for name, value in init_state(num_examples=1).items()}
    value, state = f_dpg(*rows, tensor([0]), state, divergence="reverse_kl", beta=0.7, window=None)
    shaped = (rewards / 0.7 - (log_pi - ref)).detach()
    log_z = (state["log_sum"] - state["count"].log()).item()
    near(value, [-((shaped - 1 - log_z) * log_pi).mean().item()])


def test_a_window_forgets():
    state = init_state(num_examples=1)
    zero = torch.zeros(1, 4)
    for reward in (0.0, 8.0, 8.0):
        _, state = f_dpg(zero, zero, zero, zero + reward, tensor([0]), state, divergence="reverse_kl", window=4)
    log_z = math.log((1 + 2 * math.exp(8)) / 3)
    near(state["baseline"], [-(1 + log_z - 8)], 1e-5)  # the last four samples alone
