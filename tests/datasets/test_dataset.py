import numpy as np
import pytest
import torch

from lossbench.datasets.dataset import Dataset, Split, carve, mean_and_std, sample_indices, split_indices
from lossbench.errors import UsageError
from tests.datasets.support import generator


class Squares:
    """LazyInputs: image i is filled with i * i; counts what is read."""

    def __init__(self, n):
        self.n, self.read = n, []

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.read.append(index)
        return torch.full((1, 2, 2), index * index % 251, dtype=torch.uint8)


def test_split_indices_are_disjoint_and_stratified():
    targets = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)[torch.randperm(100, generator=generator())]
    a, b, rest = split_indices(100, (0.1, 0.3), generator(), targets)
    assert torch.cat([a, b, rest]).sort().values.tolist() == list(range(100))
    assert torch.bincount(targets[a]).tolist() == [5, 3, 2]
    assert torch.bincount(targets[b]).tolist() == [15, 9, 6]


def test_carve_keeps_inputs_and_labels_together():
    whole = Split(torch.arange(40.0).reshape(40, 1), {"targets": torch.arange(40) % 4})
    part, rest = carve(whole, 0.2, generator())
    assert torch.bincount(part.labels["targets"]).tolist() == [2, 2, 2, 2]
    assert torch.cat([part.inputs, rest.inputs]).flatten().sort().values.tolist() == list(range(40))
    for split in (part, rest):
        assert torch.equal(split.inputs[:, 0].long() % 4, split.labels["targets"])


def test_carve_is_never_empty():  # a tenth of two examples of each of two classes
    part, rest = carve(Split(torch.zeros(4, 1), {"targets": torch.tensor([0, 0, 1, 1])}), 0.1, generator())
    assert [len(part), len(rest)] == [1, 3]


@pytest.mark.parametrize("number", [0, 1, 7, 50, 99, 100])
def test_sample_indices_are_exactly_so_many_and_stratified(number):
    targets = torch.tensor([0] * 50 + [1] * 33 + [3] * 17)[torch.randperm(100, generator=generator())]
    chosen = sample_indices(100, number, generator(), targets)
    assert len(chosen) == len(chosen.unique()) == number
    shares = torch.bincount(targets[chosen], minlength=4) - number * torch.tensor([0.5, 0.33, 0.0, 0.17])
    assert shares.abs().max() < 1
    assert len(sample_indices(100, number, generator()).unique()) == number


def test_select_of_select_reads_the_right_image_lazily():
    lazy = Squares(20)
    split = Split(lazy, {"targets": torch.arange(20)}).select(torch.tensor([3, 5, 7])).select(torch.tensor([2, 0]))
    assert lazy.read == [] and len(split) == 2
    assert split.inputs[0].unique().tolist() == [49] and split.labels["targets"].tolist() == [7, 3]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_mean_and_std_of_images(dtype):  # numpy, in float64, per channel
    images = torch.randint(0, 256, (50, 3, 4, 5), generator=generator(), dtype=torch.uint8)
    images[:, 1] //= 4
    mean, std = mean_and_std(images.to(dtype))
    assert mean.shape == std.shape == (3, 1, 1)
    values = images.double().numpy()
    ddof = 0 if dtype == torch.uint8 else 1
    np.testing.assert_allclose(mean.flatten(), values.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(std.flatten(), values.std((0, 2, 3), ddof=ddof), rtol=1e-5)


def test_mean_and_std_of_rows_with_a_constant_feature():
    mean, std = mean_and_std(torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
    assert mean.tolist() == [2.0, 7.0]
    torch.testing.assert_close(std, torch.tensor([2.0**0.5, 1.0]))


def test_mean_and_std_of_lazy_inputs_reads_an_even_sample():
    lazy = Squares(101)
    mean, _ = mean_and_std(lazy, sample=11)
    assert sorted(lazy.read) == list(range(0, 101, 10))
    expected = np.mean([i * i % 251 for i in range(0, 101, 10)])
    np.testing.assert_allclose(mean.item(), expected, rtol=1e-6)


def test_class_counts():
    split = Split(torch.zeros(4, 1), {"targets": torch.tensor([0, 2, 2, 2])})
    assert Dataset(split, split, split, num_outputs=4).class_counts.tolist() == [1, 1, 3, 1]  # absent classes count 1
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    split = Split(torch.zeros(4, 1), {"labels": labels})
    assert Dataset(split, split, split, num_outputs=2).class_counts.tolist() == [3, 1]
    split = Split(torch.zeros(4, 1), {"regression_targets": torch.zeros(4, 1)})
    with pytest.raises(UsageError, match="class_counts"):
        _ = Dataset(split, split, split, num_outputs=1).class_counts
