"""Every file in configs/augmentation mirrors its function."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "augmentation").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_config_mirrors_the_function(path):
    config = OmegaConf.to_container(OmegaConf.load(path))
    assert list(config) == [path.stem]
    keys = config[path.stem]
    assert keys.pop("_target_") == f"lossbench.augmentations.{path.stem}.{path.stem}" and keys.pop("_partial_") is True
    function = getattr(import_module(f"lossbench.augmentations.{path.stem}"), path.stem)
    parameters = inspect.signature(function).parameters
    assert list(parameters)[:2] == ["batch", "generator"]
    assert keys == {p.name: p.default for p in parameters.values() if p.kind is p.KEYWORD_ONLY}
