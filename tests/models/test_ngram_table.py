import itertools

import pytest
import torch

from lossbench.errors import UsageError
from lossbench.models.ngram_table import ngram_table


def made(order, length=4, num_tokens=3):
    model = ngram_table(input_shape=(length,), num_outputs=num_tokens, order=order)
    torch.nn.init.normal_(model.body.table.weight, generator=torch.Generator().manual_seed(0))
    return model


@pytest.mark.parametrize("order", [1, 2, 4, 6])
def test_logits_depend_on_the_place_and_the_last_tokens_alone(order):
    model, seen = made(order), {}
    for sequence in itertools.product(range(3), repeat=4):
        logits = model(torch.tensor([sequence]))[0]
        for place in range(4):
            context = (place, sequence[max(0, place + 1 - order) : place + 1])
            row = tuple(logits[place].tolist())
            assert seen.setdefault(context, row) == row
    assert len(set(seen.values())) == len(seen)  # and every context has logits of its own
    assert len(seen) == len(model.body.table.weight)  # none is left over


def test_starts_uniform():
    model = ngram_table(input_shape=(4,), num_outputs=3)
    assert not model(torch.randint(3, (5, 4))).any()


def test_shorter_sequences():
    model, x = made(2), torch.randint(3, (5, 4), generator=torch.Generator().manual_seed(1))
    assert torch.equal(model(x[:, :2]), model(x)[:, :2])


def test_errors():
    with pytest.raises(UsageError, match="reads tokens"):
        ngram_table(input_shape=(1, 8, 8), num_outputs=10)
    with pytest.raises(UsageError, match="smaller order"):
        ngram_table(input_shape=(20,), num_outputs=100)
