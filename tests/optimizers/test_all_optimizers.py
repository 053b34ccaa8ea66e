"""What holds for every optimizer: its config is checked, builds it, and what it builds trains."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf

from lossbench import contract
from lossbench.errors import UsageError
from lossbench.optimizers.check import RANGES, check_hyperparameters
from lossbench.optimizers.groups import parameter_groups
from tests.optimizers.support import check_resume, loss, network, train

FOLDER = Path(__file__).parents[2] / "configs" / "optimizer"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def composed(name, *overrides):
    with initialize_config_dir(str(FOLDER.parent), version_base="1.3"):
        config = compose("optimizer/" + name, overrides=list(overrides)).optimizer
    OmegaConf.resolve(config)
    return config


@pytest.mark.parametrize("name", NAMES)
def test_config(name):
    assert (FOLDER / f"{name}.yaml").read_text().startswith("# ")
    config = composed(name)
    values = {k: v for k, v in OmegaConf.to_container(config).items() if not k.startswith("_")}
    make = instantiate(config, _convert_="all")
    check_hyperparameters(make.func, values)
    assert make.func.__name__.lower() == name.replace("_", "")
    standard = {n: p.default for n, p in contract.signature(make.func).items()}
    own = make.func.__module__.startswith("lossbench")
    for key, value in values.items():
        if own and key != "base":
            assert value == (list(standard[key]) if isinstance(standard[key], tuple) else standard[key])
    with pytest.raises(UsageError, match=r"optimizer\.lr="):
        check_hyperparameters(make.func, values | {"lr": -1.0})


@pytest.mark.parametrize("name", NAMES)
def test_trains(name):  # with the learning rate of its config, on one batch over and over
    make = instantiate(composed(name), _convert_="all")
    model = network()
    decay = make.keywords.get("weight_decay")
    optimizer = make(parameter_groups(model, weight_decay=decay))
    before = loss(model, 0).item()
    for _ in range(300):
        train(model, optimizer, range(1))
    assert loss(model, 0).item() < 0.9 * before


@pytest.mark.parametrize("name", NAMES)
def test_resume(name, tmp_path):
    check_resume(instantiate(composed(name), _convert_="all"), tmp_path / "checkpoint.pt")


def test_ranges_cover_every_number_in_the_configs():
    switches = {"foreach", "fused", "amsgrad", "nesterov", "centered", "decoupled_weight_decay", "line_search_fn"}
    for name in NAMES:
        config = OmegaConf.load(FOLDER / f"{name}.yaml")
        if config._target_.startswith("torch."):
            for key in config:
                assert key in RANGES or key in switches | {"etas"} or key.startswith("_")
            continue
        known = contract.signature(get_object(config._target_))  # our own say their ranges themselves
        for key in config.keys() - {"defaults", "base"}:
            annotation = str(known[key].annotation) if key in known else ""
            assert key.startswith("_") or "Annotated" in annotation or "Literal" in annotation or "bool" in annotation


def test_a_choice_that_is_none_is_refused():  # in words, before anything is built
    config = OmegaConf.to_container(composed("lion_k"))
    values = {k: v for k, v in config.items() if not k.startswith("_")}
    target = get_object(config["_target_"])
    check_hyperparameters(target, values | {"kappa": "l2"})
    with pytest.raises(UsageError, match=r"optimizer\.kappa=l3 is not allowed; it must be one of: l1, l2"):
        check_hyperparameters(target, values | {"kappa": "l3"})
    with pytest.raises(UsageError, match=r"optimizer\.threshold=-1"):
        check_hyperparameters(target, values | {"threshold": -1})


def test_base_of_sam_is_chosen_by_name():
    config = composed("sam", "optimizer@optimizer.base=adamw", "optimizer.base.lr=0.003")
    assert config.base._target_ == "torch.optim.AdamW"
    assert (config.lr, config.weight_decay) == (0.003, 0.01)
    optimizer = instantiate(config, _convert_="all")(network().parameters())
    assert type(optimizer.base).__name__ == "AdamW"
    assert optimizer.param_groups[0]["lr"] == 0.003 and optimizer.param_groups[0]["weight_decay"] == 0.01
    assert composed("sam", "optimizer.lr=0.5").lr == 0.5
