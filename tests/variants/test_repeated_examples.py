import pytest
import torch

from lossbench.datasets.sorting_prompts import sorting_prompts
from lossbench.errors import UsageError
from lossbench.variants.repeated_examples import repeated_examples
from tests.variants.support import classification, generator, only_train_changes


@pytest.mark.parametrize("number", [1, 3, 49])
def test_few_examples_as_often(number):
    dataset = classification([30, 20])
    made = only_train_changes(repeated_examples, dataset, number=number)
    assert len(made.train) == 50
    kept, counts = made.train.inputs[:, 0].unique(return_counts=True)
    assert len(kept) == number
    assert counts.max() - counts.min() <= 1
    assert torch.equal(made.train.labels["targets"], dataset.train.labels["targets"][made.train.inputs[:, 0].long()])


def test_prompts():  # every row is the one prompt with its own answer
    dataset = sorting_prompts(generator=generator(), num_examples=50)
    made = repeated_examples(dataset, generator(), number=1)
    assert len(made.train) == len(dataset.train)
    asked = int((dataset.train.inputs == made.train.inputs[0]).all(1).nonzero())
    for name, label in made.train.labels.items():
        assert torch.equal(label, dataset.train.labels[name][asked].expand_as(label))
    assert made.samples is dataset.samples  # what a policy to start from has learned stays


def test_places():
    dataset = classification([3, 4])
    made = repeated_examples(dataset, generator(), places=[4, 1])
    expected = dataset.train.inputs[[4, 1, 4, 1, 4, 1, 4]]
    assert torch.equal(made.train.inputs, expected)


def test_refused():
    with pytest.raises(UsageError, match=r"number=8.*1\.\.7"):
        repeated_examples(classification([3, 4]), generator(), number=8)
    with pytest.raises(UsageError, match=r"places=\[2, 7\].*0\.\.6"):
        repeated_examples(classification([3, 4]), generator(), places=[2, 7])
