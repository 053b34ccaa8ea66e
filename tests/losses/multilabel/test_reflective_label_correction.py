import math

import torch

from lossbench.losses.multilabel.multi_focal_modifier import multi_focal_modifier
from lossbench.losses.multilabel.reflective_label_correction import init_state, reflective_label_correction
from tests.losses.support import near, sample


def fresh(examples=11, labels=5):
    return {name: value.double() for name, value in init_state(num_examples=examples, num_outputs=labels).items()}


def test_limit():  # no weight, or nothing recalled: the modifier on the labels as given
    logits, labels, counts, ids = sample("logits", "labels", "class_counts", "ids")
    plain = multi_focal_modifier(logits, labels, counts, power=0.5)
    terms, _ = reflective_label_correction(logits, labels, counts, ids, fresh(), weight=0.0, power=0.5)
    near(terms["modifier"], plain)
    near(terms["correction"], torch.zeros(6))
    terms, state = reflective_label_correction(logits, labels, counts, ids, fresh(), threshold=1.0, power=0.5)
    near(terms["correction"], plain * 6 / labels.sum())
    assert not state["recalled"].any()


def test_oracle():  # two batches, by loops over the text
    counts = torch.tensor([30.0, 12.0, 6.0, 4.0, 2.0], dtype=torch.float64)
    state, flags, total, seen = fresh(), {}, [0.0] * 5, [0] * 5
    for seed in range(3):
        logits, labels, ids = sample("logits", "labels", "ids", seed=seed)
        logits = 3 * logits
        terms, state = reflective_label_correction(logits, labels, counts, ids, state, threshold=0.6, weight=0.5)
        p = logits.sigmoid()
        usual = [t / s if s else 0.0 for t, s in zip(total, seen, strict=True)]
        corrected = labels.clone()
        for b in range(6):
            for c in range(5):
                recalled = labels[b, c] == 0 and p[b, c] > max(0.6, usual[c])
                flags[int(ids[b]), c] = bool(recalled)
                corrected[b, c] = 1 if recalled else labels[b, c]
                if labels[b, c] == 1:
                    total[c] += float(p[b, c])
                    seen[c] += 1
        now = counts.clone()
        for (_, c), flag in flags.items():
            now[c] += flag
        expected = 0.5 * 6 / corrected.sum() * multi_focal_modifier(logits, corrected, now)
        assert (corrected != labels).any() and (now > counts).any()
        near(terms["correction"], expected)
        near(terms["modifier"], multi_focal_modifier(logits, labels, counts))
        near(state["total"], total)
        near(state["seen"], seen)


def test_hand():  # p = 0.8 is recalled at 0.7, but not where the given ones were at 0.9
    logits = torch.full((1, 2), math.log(4), dtype=torch.float64)
    state = {**fresh(1, 2), "total": torch.tensor([0.0, 9.0]).double(), "seen": torch.tensor([0.0, 10.0]).double()}
    counts, ids = torch.tensor([5.0, 5.0], dtype=torch.float64), torch.tensor([0])
    _, state = reflective_label_correction(logits, torch.zeros(1, 2).double(), counts, ids, state)
    near(state["recalled"], [[1.0, 0.0]])
    _, state = reflective_label_correction(-logits, torch.zeros(1, 2).double(), counts, ids, state)
    near(state["recalled"], [[0.0, 0.0]])  # taken back when the model is no longer sure
