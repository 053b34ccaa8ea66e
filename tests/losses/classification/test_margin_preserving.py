import math

import torch

from lossbench.losses.classification.cross_entropy import cross_entropy
from lossbench.losses.classification.focal_distillation import focal_distillation
from lossbench.losses.classification.margin_preserving import margin_preserving
from tests.losses.support import extreme, near, sample, stacked

WORDS = ("logits", "targets", "old_logits", "independent_logits")


def test_limit():  # no bias, no distillation: cross-entropy; frozen models that score like the new one teach nothing
    logits, targets, old, independent = sample(*WORDS)
    terms = margin_preserving(logits, targets, old, independent, bias=0.0, base_weight=0.0, focus_weight=0.0)
    near(sum(terms.values()), cross_entropy(logits, targets))
    terms = margin_preserving(logits, targets, logits[:, :3], logits)
    near(terms["old_distillation"] + terms["independent_distillation"], 0.0)


def test_oracle():  # torch's cross_entropy of the raised scores, torch.distributions' divergences
    for tokens in (False, True):
        logits, targets, old, independent = sample(*WORDS, tokens=tokens, B=30)
        terms = margin_preserving(logits, targets, old, independent)
        raised = logits + 4 * torch.tensor([0.0, 0, 0, 1, 1])
        expected = torch.nn.functional.cross_entropy(raised.movedim(-1, 1), targets, reduction="none")
        near(terms["cross_entropy"], expected)
        for name, frozen, own in (("old", old, logits[..., :3]), ("independent", independent, logits)):
            before, after = (torch.distributions.Categorical(logits=s / 5) for s in (frozen, own))
            weights = 1 + 5 * (frozen.argmax(-1) == targets).double()
            near(terms[f"{name}_distillation"], weights * torch.distributions.kl_divergence(before, after))


def test_margin():  # where the biased cross-entropy is lowest, the plain scores differ by the bias more than without it
    targets, wanted = torch.tensor([0, 0, 0, 1]), {}
    for bias in (0.0, 3.0):
        scores = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [scores], line_search_fn="strong_wolfe", max_iter=200, tolerance_grad=1e-12, tolerance_change=0
        )

        def closure(scores=scores, bias=bias, optimizer=optimizer):
            optimizer.zero_grad()
            rows = scores.expand(4, 2)
            value = margin_preserving(rows, targets, rows[:, :1], rows, bias=bias)["cross_entropy"].mean()
            value.backward()
            return value

        optimizer.step(closure)
        wanted[bias] = (scores[0] - scores[1]).item()
    assert abs(wanted[0.0] - math.log(3)) < 1e-6 and abs(wanted[3.0] - math.log(3) - 3.0) < 1e-6


def test_same_distillation():  # of the old model as focal_distillation has it
    logits, targets, old, independent = sample(*WORDS)
    options = {"base_weight": 0.3, "focus_weight": 2.0, "temperature": 1.5}
    expected = focal_distillation(logits, targets, old, **options)["distillation"]
    near(margin_preserving(logits, targets, old, independent, **options)["old_distillation"], expected)


def test_hand():  # scores 0, classes 0 and 1 are old, bias log 3: class 2 has 3 of 5 parts
    logits, old = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    independent = torch.tensor([[0.0, 0.0, 5 * math.log(2)]] * 2, dtype=torch.float64)  # softened: (1/4, 1/4, 1/2)
    terms = margin_preserving(logits, torch.tensor([1, 2]), old, independent, bias=math.log(3))
    near(terms["cross_entropy"], [math.log(5), math.log(5 / 3)])
    divergence = math.log(3) - 1.5 * math.log(2)
    near(terms["independent_distillation"], [divergence, 6 * divergence])


def test_extreme():  # sure of class 1, and all frozen models of class 0: 6 * 4e4 / 5 each
    logits, targets = torch.tensor([[-2e4, 2e4, -2e4]]), torch.tensor([0])
    values, _ = extreme(margin_preserving, logits, targets, -logits[:, :2], torch.tensor([[2e4, -2e4, -2e4]]))
    near(values[0], [4e4])
    near(values[1], [6 * 4e4 / 5])
    near(values[2], [6 * 4e4 / 5])


def test_stacked():
    stacked(margin_preserving, bias=[0.0, 4.0, -1.0], base_weight=[0.0, 1.0, 2.0], temperature=[1.0, 5.0, 0.5])
