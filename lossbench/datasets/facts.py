"""Facts: what is asked of an entity and a relation, in several forms; one entity's facts can be unlearned.

    ask e7 r2 > v4 v0        of e7 r2 > v4 v0        r2 ask e7 > v4 v0        r2 of e7 > v4 v0

A fact is two values, drawn at random for each entity and relation: it can only be learned by heart. A form is the order
of entity and relation and one of the words ``ask`` and ``of``. Of each fact three forms are trained on and the fourth
is held out, another one for each fact: who answers it knows the fact and not the sentence.

Source    made here; the questions on fictitious authors of TOFU, Maini et al. 2024, arXiv:2401.06121, in small
Inputs    [5] token indices; targets are the tokens after them, mask is true on both values, groups [n] is the entity.
          To unlearn some entities: variant=[forget_set] variant.forget_set.groups=[0,1] variant.forget_set.fraction=1
Splits    three forms of every fact train; of half of the facts the fourth validates, of the others it is the test
"""

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor

from lossbench.datasets.dataset import Split
from lossbench.datasets.tokenizers import symbols
from lossbench.datasets.tokens import TokenDataset

FORMS = 4


def facts(
    *,
    generator: Generator,
    num_entities: Annotated[int, Ge(2)] = 40,
    num_relations: Annotated[int, Ge(1)] = 5,
    num_values: Annotated[int, Ge(2)] = 10,
) -> TokenDataset:
    """generator draws the facts, the forms that are held out, and the split.

    num_values   that each of the two places of an answer can have; guessing one is right once in so many
    """
    names = [
        *(f"{kind}{i}" for kind, n in (("e", num_entities), ("r", num_relations), ("v", num_values)) for i in range(n)),
        "ask",
        "of",
        ">",
    ]
    number = num_entities * num_relations
    entity = torch.arange(number) // num_relations
    relation = num_entities + torch.arange(number) % num_relations
    values = num_entities + num_relations + torch.randint(num_values, (number, 2), generator=generator)
    sign = torch.full((number,), names.index(">"))

    def said(form: int) -> Tensor:
        word = torch.full((number,), names.index("ask" if form % 2 == 0 else "of"))
        question = [word, entity, relation] if form < 2 else [relation, word, entity]
        return torch.stack([*question, sign, *values.unbind(1)], 1)

    rows = torch.stack([said(form) for form in range(FORMS)], 1)  # [facts, FORMS, 6]
    held_out = torch.arange(FORMS) == torch.randint(FORMS, (number, 1), generator=generator)
    order = torch.randperm(number, generator=generator)
    validates, tests = (part.sort().values for part in order.split([number // 2, number - number // 2]))

    def split(rows: Tensor, groups: Tensor) -> Split:
        mask = (torch.arange(1, rows.shape[1]) >= rows.shape[1] - 2).expand(len(rows), -1).contiguous()
        return Split(rows[:, :-1], {"targets": rows[:, 1:], "mask": mask, "groups": groups})

    fourth = rows[held_out]
    return TokenDataset(
        split(rows[~held_out], entity.repeat_interleave(FORMS - 1)),
        split(fourth[validates], entity[validates]),
        split(fourth[tests], entity[tests]),
        num_outputs=len(names),
        class_names=names,
        tokenizer=symbols(names),
    )
