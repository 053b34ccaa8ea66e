"""What holds for every model: its config mirrors it and builds it from nothing but the data set's shape."""

import inspect
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lossbench import contract
from lossbench.errors import UsageError
from lossbench.models.model import Model

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "model").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_config(path):
    config = OmegaConf.load(path)
    values = OmegaConf.to_container(config)
    assert path.read_text().startswith("# ")
    assert values.pop("_target_") == f"lossbench.models.{path.stem}.{path.stem}"
    assert values.pop("_partial_") is True
    build = instantiate(config)
    defaults = {name: p.default for name, p in contract.hyperparameters(build.func).items()}
    assert defaults.pop("input_shape") is defaults.pop("num_outputs")  # required: inspect.Parameter.empty
    required = [name for name, value in defaults.items() if value is inspect.Parameter.empty]
    assert required == [name for name, value in values.items() if value == "???"]
    for name in required:
        del values[name], defaults[name]
    assert values == {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    if required:  # it reads a model from files: its own test writes some
        return
    contract.check(build.func, values, "model")
    try:
        model, inputs, expected = build(input_shape=(1, 8, 8), num_outputs=10), torch.zeros(2, 1, 8, 8), (2, 10)
    except UsageError as error:  # a model of tokens refuses images, and so does one that is told a trade-off
        if "task=pareto_front" in str(error):
            assert build(input_shape=(66,), num_outputs=10)(torch.zeros(3, 66)).shape == (3, 2, 10)
            return
        assert "reads tokens" in str(error)
        inputs, expected = torch.zeros(2, 8, dtype=torch.long), (2, 8, 10)
        shape = (3, 5) if "[S, T]" in str(error) else (8,)  # a source and a target, one behind the other
        model = build(input_shape=shape, num_outputs=10)
    assert isinstance(model, Model)
    assert model.eval()(inputs).shape == expected
