"""What holds for every data set of prompts that needs no file: found by itself in configs/dataset."""

import pytest
import torch

from lossbench import contract
from lossbench.datasets.prompts import PromptDataset
from lossbench.errors import UsageError
from lossbench.variants.completions import completions
from tests.datasets import test_digit_prompts
from tests.datasets.support import generator, splits
from tests.datasets.test_every_dataset import CONFIGS, PROMPTS, build

MADE = sorted(name for name in PROMPTS if "path" not in set(CONFIGS[name]))


def test_some_are_found():
    assert {"sorting_prompts", "arithmetic_prompts", "countdown_prompts"} <= set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_shapes_and_types(name):
    dataset = build(name)
    assert isinstance(dataset, PromptDataset)
    for split in splits(dataset):
        lengths, answers = split.labels["prompt_lengths"], split.labels["answers"]
        assert len(split) == len(lengths) == len(answers) > 0 and answers.dtype == torch.int64
        assert split.inputs.dtype == torch.int64 and split.inputs.min() >= 0
        assert split.inputs.max() < dataset.num_outputs == len(dataset.class_names) == dataset.tokenizer.size
        assert lengths.min() >= 1 and lengths.max() <= dataset.input_shape[0]
        behind = torch.arange(dataset.input_shape[0]) >= lengths.unsqueeze(1)
        assert (split.inputs[behind] == dataset.end).all() and not (split.inputs[~behind] == dataset.end).any()


@pytest.mark.parametrize("name", MADE)
def test_splits_have_no_prompt_in_common(name):
    found = [{tuple(row) for row in split.inputs.tolist()} for split in splits(build(name))]
    assert sum(map(len, found)) == len(set.union(*found)) == sum(len(split) for split in splits(build(name)))


@pytest.mark.parametrize("name", MADE)
def test_the_generator_decides(name):
    first, again, other = build(name), build(name), build(name, seed=1)
    for split, same, different in zip(splits(first), splits(again), splits(other), strict=True):
        assert torch.equal(split.inputs, same.inputs) and not torch.equal(split.inputs, different.inputs)
    assert torch.equal(first.samples.rows, again.samples.rows)


@pytest.mark.parametrize("name", MADE)
def test_samples(name):
    """They are whole sequences with an end, of which the stated part is right; as data for language modelling only
    completions count."""
    module = __import__(f"lossbench.datasets.{name}", fromlist=[name])
    make = getattr(module, name)
    for part in (1.0, 0.0):
        dataset = make(generator=generator(), sample_accuracy=part, num_samples=300)
        rows, starts, stops = dataset.samples
        assert len(rows) <= 300 and ((starts > 0) & (starts < stops) & (stops <= rows.shape[1])).all()
        assert (rows.gather(1, stops.unsqueeze(1) - 1) == dataset.end).all()
        right = torch.tensor([_solved(dataset, *sample) for sample in zip(rows, starts, stops, strict=True)])
        assert right.all() if part == 1 else right.float().mean() < 0.2  # by chance: 5 + 3 for 4 + 4
    tokens = completions(dataset, generator())
    whole = torch.cat([tokens.train.inputs, tokens.train.labels["targets"][:, -1:]], 1)
    assert torch.equal(whole, rows[: len(whole)])
    places = torch.arange(1, rows.shape[1])
    expected = (places >= starts.unsqueeze(1)) & (places < stops.unsqueeze(1))
    assert torch.equal(tokens.train.labels["mask"], expected[: len(whole)])


def _solved(dataset, row, start, stop):
    """By what the prompt asks, read from its text."""
    prompt = [dataset.class_names[token] for token in row[:start].tolist()]
    completion = [dataset.class_names[token] for token in row[start : stop - 1].tolist()]
    if prompt[-1] == ">":
        return completion == sorted(prompt[:-1])
    if prompt[-1] == "?":
        return completion in test_digit_prompts.digits_of("".join(prompt[:-2]))
    if ":" in prompt:
        numbers, goal = prompt[: prompt.index(":")], "".join(prompt[prompt.index(":") + 1 : -1])
        return sorted(completion[::2]) == sorted(numbers) and eval("".join(completion)) == int(goal)
    return eval("".join(prompt[:-1])) == int("".join(completion))


@pytest.mark.parametrize("name", MADE)
def test_ranges_are_stated(name):
    module = __import__(f"lossbench.datasets.{name}", fromlist=[name])
    with pytest.raises(UsageError, match="num_samples"):
        contract.check(getattr(module, name), {"num_samples": 0}, "dataset")
