"""What the tests of one run share: a prepared run from overrides, as `lossbench train` composes it, and its parts."""

from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from lossbench import building, composing, hydra_configs, preparing
from lossbench.frozen import replacing
from lossbench.trainer import Trainer

# What the tests rely on, so that better defaults do not break them; later overrides win.
FIXED = ("batch_size=128",)
STILL = {"report": lambda row: None, "progress": lambda step, total: None, "stop": lambda: False}


def prepared(outputs: Path, *overrides: str) -> preparing.Prepared:
    hydra_configs.register()
    with initialize(config_path=None, version_base="1.3"):
        given = [*FIXED, f"outputs='{outputs}'", *replacing(overrides)]
        config = compose("train", given, return_hydra_config=True)
        loader = GlobalHydra.instance().config_loader()
    choices = {
        key: preparing.one_name(value)
        for key, value in config.hydra.runtime.choices.items()
        if not key.startswith("hydra/") and key != "search"
    }
    plain = OmegaConf.to_container(OmegaConf.masked_copy(config, [k for k in config if k != "hydra"]), resolve=True)
    assert isinstance(plain, dict)
    return composing.prepare({**plain, "choices": choices}, loader, overrides)


def parts(outputs: Path, *overrides: str) -> dict[str, Any]:
    """Everything that a Trainer takes, built as a run builds it; nothing is written."""
    made = building.build(prepared(outputs, *overrides).config, torch.device("cpu"))
    made.pop("shapes")
    return made


def trainer(outputs: Path, *overrides: str, **replaced: Any) -> Trainer:
    return Trainer(run="test", folder=outputs, **{**parts(outputs, *overrides), **STILL, **replaced})


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def identical(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
