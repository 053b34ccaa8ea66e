"""Batches: the order, going on from any step, and the same batches from memory and through workers."""

import itertools

import pytest
import torch

from lossbench import source as sources
from lossbench.augmentations.flip import flip
from lossbench.augmentations.mixup import mixup
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.source import Source

CPU = torch.device("cpu")


class Lazy:
    """Inputs that are made when they are asked for."""

    def __init__(self, inputs: torch.Tensor):
        self.inputs = inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.inputs[index].clone()


def dataset(n: int = 23, kind: torch.dtype = torch.float32, lazy: bool = False) -> Dataset:
    """Every input holds its own index, so that a batch tells which examples are in it."""

    def split(size: int) -> Split:
        inputs = torch.arange(size).view(-1, 1, 1, 1).expand(size, 3, 2, 4).contiguous().to(kind)
        labels = {
            "targets": torch.arange(size) % 5,
            "labels": torch.nn.functional.one_hot(torch.arange(size) % 5).float(),
        }
        return Split(Lazy(inputs) if lazy else inputs, labels)

    mean, std = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1), torch.tensor([2.0, 0.5, 3.0]).view(3, 1, 1)
    return Dataset(split(n), split(7), split(9), 5, mean=mean, std=std)


def source(data: Dataset | None = None, **more) -> Source:
    arguments = {"batch_size": 5, "evaluation_batch_size": 4, "device": CPU, "seed": 3} | more
    return Source(data or dataset(), **arguments)


def take(batches, n: int) -> list[dict]:
    return list(itertools.islice(batches, n))


def same(first: list[dict], second: list[dict]) -> bool:
    def equal(a, b) -> bool:
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
        return a.dtype == b.dtype and torch.equal(a, b)

    return len(first) == len(second) and all(equal(a, b) for a, b in zip(first, second, strict=True))


def test_order_is_a_function_of_seed_and_epoch():
    orders = {(seed, epoch): source(seed=seed).order(epoch) for seed in (0, 1) for epoch in (0, 1, 2)}
    for (seed, epoch), order in orders.items():
        torch.manual_seed(17)
        other = source(seed=seed, augmentations={"mixup": mixup}, evaluation_batch_size=1)
        list(other.evaluation("test"))
        take(other.training(), 3)
        assert torch.equal(other.order(epoch), order)
        assert len(order) == 20 and len(set(order.tolist())) == 20 and set(order.tolist()) <= set(range(23))
    lists = [tuple(order.tolist()) for order in orders.values()]
    assert len(set(lists)) == len(lists)


def test_reading_moves_no_global_stream():
    for lazy in (False, True):
        torch.manual_seed(0)
        own = source(dataset(lazy=lazy))
        take(own.training(), 9)
        list(own.evaluation("validation"))
        after = torch.rand(3)
        torch.manual_seed(0)
        assert torch.equal(after, torch.rand(3)), f"lazy={lazy}"


def test_batches_follow_the_order_and_know_their_examples():
    """Input, target, label and id of one row belong together; the incomplete batch of every epoch is left out."""
    own = source()
    assert own.steps_per_epoch == 4
    data = dataset()
    for step, batch in enumerate(take(own.training(), 13)):
        epoch, position = divmod(step, 4)
        expected = own.order(epoch)[position * 5 : position * 5 + 5]
        assert torch.equal(batch["ids"], expected)
        assert torch.equal(batch["targets"], data.train.labels["targets"][expected])
        assert torch.equal(batch["labels"], data.train.labels["labels"][expected])
        assert torch.equal(batch["x"], (data.train.inputs[expected] - data.mean) / data.std)
        assert set(batch) == set(own.names())


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("whole_epochs", [True, False])
def test_goes_on_from_any_step(lazy, whole_epochs, monkeypatch):
    if not whole_epochs:
        monkeypatch.setattr(sources, "GATHER_WHOLE_EPOCHS_BELOW", 0)
    batches = take(source(dataset(lazy=lazy)).training(), 14)
    for start in range(12):
        assert same(take(source(dataset(lazy=lazy)).training(start), 14 - start), batches[start:]), start


def test_gathered_by_epoch_or_by_step_is_the_same(monkeypatch):
    batches = take(source().training(), 10)
    monkeypatch.setattr(sources, "GATHER_WHOLE_EPOCHS_BELOW", 0)
    assert same(take(source().training(), 10), batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_through_a_loader_with_workers(workers):
    """The same batches as from memory, in training from any step and in evaluation."""
    for kind in (torch.float32, torch.uint8):
        resident, loaded = source(dataset(kind=kind)), source(dataset(kind=kind, lazy=True), workers=workers)
        assert resident.resident and not loaded.resident
        for start in (0, 6):
            assert same(take(loaded.training(start), 7), take(resident.training(start), 7))
        for split in ("validation", "test"):
            assert same(list(loaded.evaluation(split)), list(resident.evaluation(split)))
        assert same(take(source(dataset(kind=kind), resident=False).training(), 7), take(resident.training(), 7))


def test_bytes_standardised_by_batch_or_at_once(monkeypatch):
    """Bit by bit; and equal to floats of the same values."""
    once = source(dataset(kind=torch.uint8))
    assert once._keep("train")["x"].dtype == torch.float32
    at_once = take(once.training(), 9), list(once.evaluation("test"))
    monkeypatch.setattr(sources, "STANDARDISE_ONCE_BELOW", 0)
    later = source(dataset(kind=torch.uint8))
    assert later._keep("train")["x"].dtype == torch.uint8
    assert same(take(later.training(), 9), at_once[0]) and same(list(later.evaluation("test")), at_once[1])
    floats = source(dataset())
    assert same(take(floats.training(), 9), at_once[0])


@pytest.mark.parametrize("shape", [(3, 1, 1), (3,)])
def test_mean_and_std_of_channels(shape):
    data = dataset()
    data.mean, data.std = data.mean.view(shape), data.std.view(shape)
    assert same(take(source(data).training(), 3), take(source().training(), 3))


def test_without_mean_and_std():
    data = dataset()
    data.mean = data.std = None
    batch = next(source(data).training())
    assert torch.equal(batch["x"], data.train.inputs[batch["ids"]])


@pytest.mark.parametrize("size", [1, 4, 7, 100])
def test_evaluation_reads_everything_once_in_order(size):
    own = source(evaluation_batch_size=size, augmentations={"mixup": mixup})
    batches = list(own.evaluation("validation"))
    assert torch.cat([b["ids"] for b in batches]).tolist() == list(range(7))
    assert all(len(b["x"]) <= size for b in batches) and "partner" not in batches[0]
    assert torch.equal(torch.cat([b["targets"] for b in batches]), torch.arange(7) % 5)


def test_evaluation_in_the_midst_of_training_disturbs_nothing():
    own = source(augmentations={"flip": flip, "mixup": mixup})
    batches = own.training()
    seen = []
    for _ in range(6):
        seen.append(next(batches))
        list(own.evaluation("test"))
    assert same(seen, take(source(augmentations={"flip": flip, "mixup": mixup}).training(), 6))


def test_data_set_is_not_written_to():
    data = dataset()
    before = data.train.inputs.clone()
    for batch in take(source(data).training(), 5):
        batch["x"].zero_()
    data.mean = data.std = None
    for batch in take(source(data).training(), 5):
        batch["x"].zero_()
    assert torch.equal(data.train.inputs, before)


def test_augmentations_go_on_from_their_streams():
    """After 5 steps, from the saved streams: the same as without a stop. Without them: something else."""
    both = {"flip": flip, "mixup": mixup}
    whole = take(source(augmentations=both).training(), 11)
    first = source(augmentations=both)
    take(first.training(), 5)
    state = {name: stream.clone() for name, stream in first.state_dict().items()}
    second = source(augmentations=both)
    second.load_state_dict(state)
    assert same(take(second.training(5), 6), whole[5:])
    assert not same(take(source(augmentations=both).training(5), 6), whole[5:])


def test_an_augmentation_moves_no_stream_of_another():
    alone = take(source(augmentations={"mixup": mixup}).training(), 6)

    def draw_only(batch, generator):
        flip(batch, generator)
        return batch

    beside = take(source(augmentations={"flip": draw_only, "mixup": mixup}).training(), 6)
    assert same(alone, beside)


def test_augmentations_are_applied_in_their_order():
    def double(batch, generator):
        return {**batch, "x": batch["x"] * 2}

    def add(batch, generator):
        return {**batch, "x": batch["x"] + 1}

    plain = next(source().training())["x"]
    assert torch.equal(next(source(augmentations={"a": double, "b": add}).training())["x"], plain * 2 + 1)
    assert torch.equal(next(source(augmentations={"b": add, "a": double}).training())["x"], (plain + 1) * 2)


def test_batch_larger_than_the_data_set():
    assert source(batch_size=23).steps_per_epoch == 1
    with pytest.raises(UsageError, match="batch_size=24 is larger than the training set of 23 examples"):
        source(batch_size=24)


def test_resident_is_refused_where_inputs_are_read_one_at_a_time():
    with pytest.raises(UsageError, match=r"data\.resident=true"):
        source(dataset(lazy=True), resident=True)
