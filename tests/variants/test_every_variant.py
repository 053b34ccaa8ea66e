"""Every file in configs/variant mirrors its function."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "variant").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_config_mirrors_the_function(path):
    config = OmegaConf.to_container(OmegaConf.load(path))
    assert list(config) == [path.stem]
    keys = config[path.stem]
    assert keys.pop("_target_") == f"lossbench.variants.{path.stem}.{path.stem}" and keys.pop("_partial_") is True
    function = getattr(import_module(f"lossbench.variants.{path.stem}"), path.stem)
    parameters = inspect.signature(function).parameters
    assert list(parameters)[:2] == ["dataset", "generator"]
    assert keys == {p.name: plain(p.default) for p in parameters.values() if p.kind is p.KEYWORD_ONLY}


def plain(default):
    """As YAML has it: lists instead of tuples."""
    return list(default) if isinstance(default, tuple) else default
