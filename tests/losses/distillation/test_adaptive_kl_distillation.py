import math

import torch

from lossbench.losses.distillation.adaptive_kl_distillation import adaptive_kl_distillation
from lossbench.losses.distillation.jeffreys_distillation import jeffreys_distillation
from tests.losses.support import near, sample


def test_limit():  # equal: 0, and no NaN; everything in the head: forward KL alone
    logits, teacher = sample("logits", "teacher_logits")
    equal = adaptive_kl_distillation(logits, logits)
    near(equal["forward"], 0.0), near(equal["reverse"], 0.0)
    whole = adaptive_kl_distillation(logits, teacher, head=1.0)
    near(whole["forward"], 2 * jeffreys_distillation(logits, teacher)["forward"])
    near(whole["reverse"], 0.0)


def slow(logits, teacher, head):
    """The definition, for one element."""
    p, q = teacher.softmax(-1), logits.softmax(-1)
    total, of_head, of_tail = 0.0, 0.0, 0.0
    for rank, c in enumerate(sorted(range(len(p)), key=lambda c: -p[c])):
        total += p[c]
        if rank == 0 or total <= head:
            of_head += abs(p[c] - q[c])
        else:
            of_tail += abs(p[c] - q[c])
    forward, reverse = (p * (p / q).log()).sum(), (q * (q / p).log()).sum()
    return (of_head * forward / (of_head + of_tail), of_tail * reverse / (of_head + of_tail))


def test_oracle():  # element by element, also per token
    for head in (0.1, 0.5, 0.8):
        for tokens in (False, True):
            logits, teacher = sample("logits", "teacher_logits", tokens=tokens)
            terms = adaptive_kl_distillation(logits, teacher, head=head)
            rows = zip(logits.flatten(0, -2), teacher.flatten(0, -2), strict=True)
            forward, reverse = zip(*[slow(a, b, head) for a, b in rows], strict=True)
            near(terms["forward"].flatten(), torch.stack(forward))
            near(terms["reverse"].flatten(), torch.stack(reverse))


def test_hand():  # p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): head gap 1/4 of 1/2, tail 1/4: halves of both divergences
    teacher, logits = torch.tensor([[2.0, 1, 1]]).double().log(), torch.tensor([[1.0, 2, 1]]).double().log()
    terms = adaptive_kl_distillation(logits, teacher)
    near(terms["forward"], [0.5 * math.log(2) / 4])
    near(terms["reverse"], [0.5 * math.log(2) / 4])


def test_shares_carry_no_gradient():  # the gradient is that of the two divergences with constant shares
    logits, teacher = sample("logits", "teacher_logits")
    logits.requires_grad_()
    terms = adaptive_kl_distillation(logits, teacher)
    both = jeffreys_distillation(logits, teacher)
    share = (terms["forward"] / (2 * both["forward"])).detach()
    fixed = 2 * (share * both["forward"] + (1 - share) * both["reverse"])
    (own,) = torch.autograd.grad(sum(terms.values()).sum(), logits, retain_graph=True)
    near(own, torch.autograd.grad(fixed.sum(), logits)[0])
