import math

import pytest
import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.language.semipermeable_likelihood import semipermeable_likelihood
from tests.losses.support import near, sample


def test_limit():  # weight 1, and a reference with every word: cross-entropy
    logits, targets, mask = sample("logits", "targets", "mask", tokens=True)
    near(semipermeable_likelihood(logits, targets, mask, mle_weight=1.0), cross_entropy(logits, targets))
    targets = torch.arange(7).remainder(5).expand(6, 7)
    everywhere = torch.ones(6, 7, dtype=torch.bool)
    near(semipermeable_likelihood(logits, targets, everywhere), cross_entropy(logits, targets))


@pytest.mark.parametrize("subset", ["reference", "reverse"])
@pytest.mark.parametrize("first_token_mle", [True, False])
def test_oracle(subset, first_token_mle):  # the formula, token by token
    logits, targets, mask = sample("logits", "targets", "mask", tokens=True)
    values = semipermeable_likelihood(
        logits, targets, mask, subset=subset, first_token_mle=first_token_mle, mle_weight=0.25
    )
    smaller = 0
    for i in range(6):
        words = {targets[i, t].item() for t in range(7) if mask[i, t]}
        counted = [t for t in range(7) if mask[i, t]]
        for t in counted:
            y = targets[i, t].item()
            chosen = words if subset == "reference" else ({0, 1, 2, 3, 4} - words) | {y}
            if first_token_mle and t == counted[0]:
                chosen = {0, 1, 2, 3, 4}
            smaller += len(chosen) < 5
            z = logits[i, t].tolist()
            part = -math.log(math.exp(z[y]) / sum(math.exp(z[v]) for v in chosen))
            whole = -math.log(math.exp(z[y]) / sum(math.exp(v) for v in z))
            near(values[i, t], 0.25 * whole + 0.75 * part)
    assert smaller > 5


def test_hand():  # equal scores for 4 words, reference (1, 3): log 4 at the first token, log 2 at the second
    counts = torch.tensor([[True, True, False]])
    near(semipermeable_likelihood(torch.zeros(1, 3, 4), torch.tensor([[1, 3, 0]]), counts)[0, :2],
         [math.log(4), math.log(2)], 1e-6)  # fmt: skip


def test_words_outside_go_unpunished():  # after the first token, no gradient for what the reference has not
    logits = torch.randn(1, 4, 6, dtype=torch.float64, requires_grad=True)
    counts = torch.tensor([[False, True, True, True]])
    values = semipermeable_likelihood(logits, torch.tensor([[5, 2, 0, 2]]), counts)
    (gradient,) = torch.autograd.grad((values * counts).sum(), logits)
    assert (gradient[0, 1] != 0).all()
    assert (gradient[0, 2:, [1, 3, 4, 5]] == 0).all() and (gradient[0, 2:, [0, 2]] != 0).all()
