"""Key words: bags of words of four classes, and which words a person would name as the reason for the class.

A text of class c has ``key`` of the 8 key words of c: its rationale. Besides, each key word of the other classes comes
with probability 0.05, each of the 10 companions of a class with 0.3 in its texts and 0.1 in others, and each of the
128 remaining words with 0.1: companions tell the class as well, but nobody would give them as a reason.

Task      classification: 4 classes; rationales [n, 200] is 1 for the words of the rationale
Source    lossbench's own
Licence   made here
Inputs    [200]: 1 where the text has the word
Splits    drawn independently; num_examples of training, half as many for validation, as many for the test
"""

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Generator

from lossbench.datasets.dataset import Dataset, Split

CLASSES, KEYS, COMPANIONS, OTHERS = 4, 8, 10, 128
WORDS = CLASSES * (KEYS + COMPANIONS) + OTHERS


def key_words(
    *, generator: Generator, num_examples: Annotated[int, Ge(4)] = 400, key: Annotated[int, Interval(ge=1, le=8)] = 2
) -> Dataset:
    """generator draws the texts.

    key   words of the rationale of each text
    """

    def split(n: int) -> Split:
        targets = torch.arange(n) % CLASSES
        own = torch.nn.functional.one_hot(targets, CLASSES).float()
        drawn = torch.rand((n, KEYS), generator=generator).argsort(-1) < key
        rationales = torch.zeros(n, WORDS)
        rationales[:, : CLASSES * KEYS] = (own.unsqueeze(-1) * drawn.unsqueeze(1)).flatten(1)
        chances = torch.full((n, WORDS), 0.1)
        chances[:, : CLASSES * KEYS] = 0.05 * (1 - own.repeat_interleave(KEYS, 1))
        chances[:, CLASSES * KEYS : -OTHERS] += 0.2 * own.repeat_interleave(COMPANIONS, 1)
        words = torch.rand((n, WORDS), generator=generator) < chances
        return Split(torch.maximum(words.float(), rationales), {"targets": targets, "rationales": rationales})

    return Dataset(split(num_examples), split(num_examples // 2), split(num_examples), num_outputs=CLASSES)
