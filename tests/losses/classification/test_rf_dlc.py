import math

import torch
import torch.nn.functional as F

from lossbench.losses.classification.rf_dlc import rf_dlc
from tests.losses.support import near, sample

COUNTS = torch.tensor([8.0, 1.0, 4.0, 2.0, 4.0], dtype=torch.float64)
LATE, EARLY = torch.tensor(0.9, dtype=torch.float64), torch.tensor(0.1, dtype=torch.float64)


def drawn(members=3):
    logits, targets = sample("logits", "targets")
    logits = torch.stack([logits * (m + 1) for m in range(members)], -2)
    head = torch.randn(members, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return logits, targets, COUNTS, {"head.weight": head}


def test_limit():  # one head, no margin, no utility: torch's cross-entropy, weighted once the reweighting has begun
    logits, targets, counts, weights = drawn(1)
    for progress, by_class in ((LATE, 19 / (5 * counts)), (EARLY, torch.ones(5, dtype=torch.float64))):
        terms = rf_dlc(logits, targets, counts, weights, progress, max_margin=0.0, utility_weight=0.0)
        near(terms["cross_entropy"], F.cross_entropy(logits[:, 0], targets, weight=by_class, reduction="none"))
        near(terms["utility"], torch.zeros(6))
        near(terms["repulsion"], 0.0)


def test_oracle():  # the equations by loops
    logits, targets, counts, weights = drawn()
    margins = [0.3 * float(n) ** -0.25 for n in counts]  # the rarest class has one example
    for progress, w in ((LATE, [19 / (5 * float(n)) for n in counts]), (EARLY, [1.0] * 5)):
        cross_entropies, utilities = [], []
        for i, y in enumerate(targets.tolist()):
            own, charge = 0.0, 0.0
            for member in logits[i]:
                scores = [float(z) - (7 * margins[c] if c == y else 0) for c, z in enumerate(member)]
                total = math.log(sum(map(math.exp, scores)))
                own -= w[y] * (scores[y] - total) / 3
                for c in range(5):
                    if counts[c] > counts[y] and progress == LATE:
                        charge += 0.6 * w[c] * (scores[c] - total) / 3
            cross_entropies.append(own)
            utilities.append(charge)
        head = weights["head.weight"].numpy()
        repulsion = 0.0
        for c in range(5):
            for d in range(4):
                mean = sum(head[m, c, d] for m in range(3)) / 3
                repulsion += math.log(sum((head[m, c, d] - mean) ** 2 for m in range(3)) / 3) / 20
        repulsion *= -math.exp(-float(progress) / 0.4) / 2
        terms = rf_dlc(
            logits, targets, counts, weights, progress, max_margin=0.3, scale=7.0, utility_weight=0.6, decay=0.4
        )
        near(terms["cross_entropy"], cross_entropies)
        near(terms["utility"], utilities)
        near(terms["repulsion"], repulsion)


def test_hand():  # n = 3, 1: N = 4, w = 2/3 and 2. One member, equal scores, no margin: log p = -log 2 for both classes
    logits, counts = torch.zeros(2, 1, 2, dtype=torch.float64), torch.tensor([3.0, 1.0], dtype=torch.float64)
    weights = {"head.weight": torch.zeros(1, 2, 1, dtype=torch.float64)}
    terms = rf_dlc(logits, torch.tensor([0, 1]), counts, weights, LATE, max_margin=0.0, utility_weight=0.5)
    near(terms["cross_entropy"], [2 / 3 * math.log(2), 2 * math.log(2)])
    near(terms["utility"], [0.0, -0.5 * 2 / 3 * math.log(2)])  # only the class with one example has a more frequent one


def test_members_that_are_the_same():  # a finite loss, without a gradient of the repulsion
    logits, targets, counts, _ = drawn()
    head = torch.ones(3, 5, 4, requires_grad=True)
    terms = rf_dlc(logits, targets, counts, {"head.weight": head}, EARLY.float())
    (gradient,) = torch.autograd.grad(terms["repulsion"], head)
    assert terms["repulsion"].isfinite() and not gradient.any()
