from collections import Counter

import pytest
import torch

from lossbench.datasets.facts import facts
from tests.datasets.support import generator, splits


def sentences(dataset, split):
    for x, targets, mask, group in zip(
        split.inputs, *(split.labels[n] for n in ("targets", "mask", "groups")), strict=True
    ):
        assert torch.equal(x[1:], targets[:-1]) and mask.tolist() == [False] * 3 + [True] * 2
        words = dataset.tokenizer.decode([*x.tolist(), targets[-1].item()]).split()
        entity, relation = (next(w for w in words[:3] if w[0] == kind and w != "of") for kind in "er")
        assert entity == f"e{group}" and words[3] == ">"
        form = tuple("e" if w == entity else "r" if w == relation else w for w in words[:3])
        yield (entity, relation), form, tuple(words[4:])


def test_every_fact_in_every_form_once():
    dataset = facts(generator=generator(), num_entities=12, num_relations=3, num_values=4)
    train, validation, test = ([*sentences(dataset, split)] for split in splits(dataset))
    assert [len(part) for part in (train, validation, test)] == [108, 18, 18]
    answers = {}
    for fact, _, answer in [*train, *validation, *test]:
        assert answers.setdefault(fact, answer) == answer and all(w[0] == "v" for w in answer)
    assert len(answers) == 36 and len(set(answers.values())) > 10
    forms = Counter((fact, form) for fact, form, _ in [*train, *validation, *test])
    assert set(forms.values()) == {1} and len({form for _, form in forms}) == 4
    assert Counter(fact for fact, _, _ in train) == {fact: 3 for fact in answers}
    assert len({form for _, form, _ in validation}) == 4  # another one for each fact
    assert {fact for fact, _, _ in validation}.isdisjoint(fact for fact, _, _ in test)


def test_values_are_drawn_evenly():
    dataset = facts(generator=generator(), num_entities=200, num_relations=10, num_values=4)
    counts = Counter(answer for _, _, answer in sentences(dataset, dataset.test))
    assert len(counts) == 16
    for count in counts.values():  # 1000 facts: 62.5 of each pair, within 5 standard deviations
        assert count == pytest.approx(62.5, abs=39)
