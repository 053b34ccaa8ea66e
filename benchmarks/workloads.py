"""What is trained in the benchmarks: resolved configs as the command line makes them, and data of a given size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from lossbench import hydra_configs
from lossbench.datasets.dataset import Dataset, Split
from lossbench.preparing import Prepared
from lossbench.sweep.plan import Plan, make_plan


def random_images(*, generator: Generator) -> Dataset:
    """8,000 images [1, 28, 28] to train on, 10 classes. Noise: the time of a step does not depend on the pixels."""

    def split(size: int) -> Split:
        images = torch.rand(size, 1, 28, 28, generator=generator)
        return Split(images, {"targets": torch.randint(10, (size,), generator=generator)})

    mean, std = torch.tensor(0.5), torch.tensor(0.29)
    return Dataset(split(8000), split(1000), split(1000), num_outputs=10, mean=mean, std=std)


def random_colour_images(*, generator: Generator) -> Dataset:
    """8,000 images [3, 32, 32] to train on, 10 classes: noise in the shape of CIFAR-10."""

    def split(size: int) -> Split:
        images = torch.rand(size, 3, 32, 32, generator=generator)
        return Split(images, {"targets": torch.randint(10, (size,), generator=generator)})

    return Dataset(
        split(8000), split(1000), split(1000), num_outputs=10, mean=torch.tensor(0.5), std=torch.tensor(0.29)
    )


IMAGES = f"dataset._target_={random_images.__module__}.{random_images.__name__}"


def planned(overrides: Sequence[str], outputs: Path) -> Plan:
    """The plan of a sweep, as `lossbench train -m` makes it."""
    from hydra import initialize
    from hydra.core.global_hydra import GlobalHydra

    hydra_configs.register()
    with initialize(version_base="1.3", config_path=None):
        hydra: Any = GlobalHydra.instance()
        return make_plan([*overrides, f"outputs={outputs}"], hydra.config_loader())


def prepared(overrides: Sequence[str], outputs: Path) -> Prepared:
    """One run, resolved and checked."""
    return planned(overrides, outputs).runs[0]
