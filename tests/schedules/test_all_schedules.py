"""What holds for every schedule: its config mirrors it, its ranges are refused, and it is a pure function of floats."""

import math
from pathlib import Path

import pytest
from hydra.utils import get_method
from omegaconf import OmegaConf

from lossbench import contract
from lossbench.errors import UsageError

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "schedule").glob("*.yaml"))


@pytest.fixture(params=CONFIGS, ids=[path.stem for path in CONFIGS])
def config(request):
    path = request.param
    values = OmegaConf.to_container(OmegaConf.load(path))
    assert path.read_text().startswith("# ")
    assert values.pop("_target_") == f"lossbench.schedules.{path.stem}.{path.stem}"
    assert values.pop("_partial_") is True
    return get_method(f"lossbench.schedules.{path.stem}.{path.stem}"), values


def test_config_mirrors_the_function(config):
    function, values = config
    defaults = {name: p.default for name, p in contract.hyperparameters(function).items()}
    assert values == {name: list(v) if isinstance(v, tuple) else v for name, v in defaults.items()}
    contract.check(function, values, "schedule")
    assert contract.tensor_names(function) == ("step", "total_steps")


def test_values(config):
    function, values = config
    for total in (1, 2, 3, 10, 97, 1000):
        rates = [function(step, total, **values) for step in range(total)]
        assert all(isinstance(rate, float) and math.isfinite(rate) and 0 < rate <= 1 for rate in rates)
        if total >= 10:  # a cyclic run of one step is at the bottom
            assert max(rates) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("values", [{"warmup": -1}, {"warmup": 1.0}, {"warmup": True}, {"warmup": "a"}])
def test_wrong_durations_are_refused(config, values):
    function, defaults = config
    if "warmup" in defaults:
        with pytest.raises(UsageError, match=r"schedule\.warmup"):
            contract.check(function, values, "schedule")


@pytest.mark.parametrize("values", [{"final": -0.1}, {"final": 1.5}])
def test_wrong_ends_are_refused(config, values):
    function, defaults = config
    if "final" in defaults:
        with pytest.raises(UsageError, match=r"schedule\.final"):
            contract.check(function, values, "schedule")
