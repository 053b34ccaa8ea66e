"""Batches: on the device as tensors where the data fit, through a DataLoader with workers where they do not.

The order of epoch e is a function of (seed, e) alone, so that a run can go on from any step, and every loss of one seed
sees the same batches.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from lossbench import seeds
from lossbench.datasets.dataset import Dataset, Split
from lossbench.errors import UsageError
from lossbench.interrupts import die_with_parent

GATHER_WHOLE_EPOCHS_BELOW = 256 * 2**20  # bytes; one gather per epoch is cheaper than one per step
STANDARDISE_ONCE_BELOW = 2**30  # bytes as float32; larger uint8 images are converted batch by batch

Batch = dict[str, Tensor]


class Source:
    """The batches of a run.

    augmentations   {name: (batch, generator) -> batch}, applied in this order to training batches, on the device
    two_views       training batches also have second_x: the inputs under other draws of the augmentations
    workers         processes that read inputs which do not fit in memory
    resident        True, False, or None: keep the data on the device where they fill at most half of what is free
    parts, passes   a batch that is read serves parts * passes optimizer steps: it has the examples of ``parts`` of
                    them, and they go over it ``passes`` times
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        evaluation_batch_size: int,
        device: torch.device,
        seed: int,
        augmentations: Mapping[str, Callable[[Batch, Generator], Batch]] | None = None,
        two_views: bool = False,
        workers: int = 0,
        resident: bool | None = None,
        parts: int = 1,
        passes: int = 1,
    ):
        if batch_size * parts > len(dataset.train):
            together = f" times task.parts={parts}" if parts > 1 else ""
            raise UsageError(
                f"batch_size={batch_size}{together} is larger than the training set of {len(dataset.train)} examples. "
                f"Choose batch_size <= {len(dataset.train) // parts}."
            )
        self.device, self.seed = device, seed
        self.batch_size, self.evaluation_batch_size = batch_size, evaluation_batch_size
        self.workers = workers
        self.augmentations = dict(augmentations or {})
        self.two_views = two_views
        if two_views and not self.augmentations:
            raise UsageError(
                "augmentation=[]: this task compares two views of each input, which would be the same. Choose "
                "augmentations, such as augmentation=[crop,cutout] for images or augmentation=[gaussian_noise]."
            )
        streams = [*self.augmentations, *(f"{name}/second" for name in self.augmentations if two_views)]
        self.generators = {name: seeds.generator(seed, f"augmentation/{name}", device) for name in streams}
        self.parts, self.passes, self.read_size = parts, passes, batch_size * parts
        self.batches_per_epoch = len(dataset.train) // self.read_size
        self.steps_per_epoch = self.batches_per_epoch * parts * passes
        self.mean, self.std = (_per_channel(t, dataset.input_shape, device) for t in (dataset.mean, dataset.std))
        self.splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test, **dataset.extra}
        if resident and not all(isinstance(split.inputs, Tensor) for split in self.splits.values()):
            raise UsageError(
                "data.resident=true: this data set reads its inputs one at a time, they are not in memory. "
                "Choose data.resident=null, or have the data set load them where it can (dataset.in_memory)."
            )
        self.resident = self._fits() if resident is None else resident
        self.kept: dict[str, Batch] = {}
        self.reader, self.readers = 0, 1  # of several processes that read a part each of every batch

    def _fits(self) -> bool:
        if not all(isinstance(split.inputs, Tensor) for split in self.splits.values()):
            return False
        needed = sum(split.inputs.nbytes for split in self.splits.values() if isinstance(split.inputs, Tensor))
        if self.device.type == "cuda":
            return needed <= torch.cuda.mem_get_info(self.device)[0] // 2
        return True  # on the CPU it is in memory already

    def names(self, split: str = "train") -> tuple[str, ...]:
        """What a batch of the split has."""
        second = ("second_x",) if self.two_views and split == "train" else ()
        return ("x", *second, *self.splits[split].labels, "ids")

    @property
    def at_the_end(self) -> list[str]:
        """The splits that are read once, at the end of a run: test, and those that only some data sets have."""
        return [name for name in self.splits if name not in ("train", "validation")]

    def _keep(self, name: str) -> Batch:
        """The whole split as tensors on the device, inputs standardised where that fits."""
        if name not in self.kept:
            split = self.splits[name]
            assert isinstance(split.inputs, Tensor)
            inputs = split.inputs.to(self.device)
            if inputs.dtype != torch.uint8 or inputs.numel() * 4 <= STANDARDISE_ONCE_BELOW:
                inputs = self._standardise(inputs)
            labels = {key: value.to(self.device) for key, value in split.labels.items()}
            self.kept[name] = {"x": inputs, **labels, "ids": torch.arange(len(split), device=self.device)}
        return self.kept[name]

    def _standardise(self, inputs: Tensor) -> Tensor:
        if _are_indices(inputs):
            return inputs.long()
        inputs = inputs.float()
        if self.mean is not None:
            inputs = inputs - self.mean
        return inputs if self.std is None else inputs / self.std

    def _ready(self, batch: Batch) -> Batch:
        """Images that were kept as uint8 become floats here."""
        return batch if batch["x"].dtype != torch.uint8 else {**batch, "x": self._standardise(batch["x"])}

    def order(self, epoch: int) -> Tensor:
        """The training examples in the order of this epoch, those of its whole batches."""
        generator = seeds.generator(self.seed, f"order/{epoch}")
        return torch.randperm(len(self.splits["train"]), generator=generator)[: self.batches_per_epoch * self.read_size]

    def examples(self, indices: Tensor) -> Batch:
        """The training examples of these indices [*] as a batch [*, ...], not augmented. Of resident data only."""
        flat = indices.flatten()
        data = {name: t.index_select(0, flat).unflatten(0, indices.shape) for name, t in self._keep("train").items()}
        return self._ready(data)

    def training(self, start: int = 0) -> Iterator[Batch]:
        """Batches without end, from number ``start`` on; incomplete last batches of an epoch are dropped."""
        for batch in self._resident_training(start) if self.resident else self._loaded_training(start):
            yield self.augmented(batch)

    def rows(self, number: int, update: int) -> Tensor | None:
        """Which examples of batch ``number`` are those of its optimizer step ``update``; None: all, in their order."""
        if self.parts == 1:
            return None
        turn, part = divmod(update, self.parts)
        generator = seeds.generator(self.seed, f"parts/{number}/{turn}")
        return torch.randperm(self.read_size, generator=generator).chunk(self.parts)[part].to(self.device)

    def augmented(self, batch: Batch) -> Batch:
        """A training batch as the loss sees it."""
        seen = self._view(batch, "")
        return {**seen, "second_x": self._view(batch, "/second")["x"]} if self.two_views else seen

    def _view(self, batch: Batch, stream: str) -> Batch:
        for name, augment in self.augmentations.items():
            batch = augment(batch, self.generators[name + stream])
        if self.two_views and "partner" in batch:
            raise UsageError(
                "augmentation: label mixing does not go with a task that compares two views. "
                "Leave out mixup and cutmix."
            )
        return batch

    def _resident_training(self, start: int) -> Iterator[Batch]:
        data = self._keep("train")
        whole_epochs = sum(t.nbytes for t in data.values()) <= GATHER_WHOLE_EPOCHS_BELOW
        epoch, skip = divmod(start, self.batches_per_epoch)
        while True:
            order = self.order(epoch).to(self.device)
            if whole_epochs:
                parts = [t.index_select(0, order).split(self.read_size) for t in data.values()]
                for tensors in list(zip(*parts, strict=True))[skip:]:
                    yield self._ready(dict(zip(data, tensors, strict=True)))
            else:
                for indices in order.split(self.read_size)[skip:]:
                    yield self._ready({name: t.index_select(0, indices) for name, t in data.items()})
            epoch, skip = epoch + 1, 0

    def _loaded_training(self, start: int) -> Iterator[Batch]:
        def batches() -> Iterator[list[int]]:
            epoch, skip = divmod(start, self.batches_per_epoch)
            while True:
                for indices in self.order(epoch).split(self.read_size)[skip:]:
                    yield indices.chunk(self.readers)[self.reader].tolist()
                epoch, skip = epoch + 1, 0

        yield from self._load("train", batches())

    def evaluation(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """The batches of a split, or of its examples from start to stop, in order; the last one may be smaller."""
        size, stop = self.evaluation_batch_size, len(self.splits[name]) if stop is None else stop
        if self.resident:
            data = self._keep(name)
            for first in range(start, stop, size):
                yield self._ready({key: t[first : min(first + size, stop)] for key, t in data.items()})
        else:
            indices = torch.arange(start, stop).split(size)
            yield from self._load(name, (part.tolist() for part in indices))

    def _load(self, name: str, batches: Iterator[list[int]]) -> Iterator[Batch]:
        loader: DataLoader = DataLoader(
            _Examples(self.splits[name]),
            batch_sampler=_Endless(batches),
            num_workers=self.workers,
            generator=Generator(),  # its own: every iterator draws a number, and must not move the stream of dropout
            pin_memory=self.device.type == "cuda",
            worker_init_fn=partial(die_with_parent, os.getpid()),  # torch's own watch over it takes 5 s
        )
        for batch in loader:
            batch = {key: value.to(self.device, non_blocking=True) for key, value in batch.items()}
            yield {**batch, "x": self._standardise(batch["x"])}

    def state_dict(self) -> dict[str, Tensor]:
        return {name: generator.get_state() for name, generator in self.generators.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for name, generator in self.generators.items():
            generator.set_state(state[name].cpu())


def _are_indices(inputs: Tensor) -> bool:
    """Whole numbers that are no bytes of an image: tokens."""
    return not inputs.is_floating_point() and inputs.dtype != torch.uint8


class _Examples(TorchDataset):
    def __init__(self, split: Split):
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Batch:
        labels = {name: values[index] for name, values in self.split.labels.items()}
        return {"x": self.split.inputs[index], **labels, "ids": torch.tensor(index)}


class _Endless:
    """A batch sampler from an iterator; a DataLoader asks for nothing more."""

    def __init__(self, batches: Iterator[list[int]]):
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        return self.batches


def _per_channel(values: Tensor | None, input_shape: Sequence[int], device: torch.device) -> Tensor | None:
    if values is None:
        return None
    values = values.float().to(device)
    return values.reshape(-1, *[1] * (len(input_shape) - 1)) if values.ndim == 1 and len(input_shape) > 1 else values
