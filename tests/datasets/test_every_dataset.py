"""What holds for every data set that needs no file: found by itself in configs/dataset."""

import inspect
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from lossbench import vocabulary
from tests.datasets.support import generator, splits

FOLDER = Path(__file__).parents[2] / "configs" / "dataset"
FILES = sorted(FOLDER.glob("*.yaml"))
LOADED = {path.stem: OmegaConf.load(path) for path in FILES}
# One that sets more than its own node has it below 'dataset'.
CONFIGS = {name: config.get("dataset", config) for name, config in LOADED.items()}
TOKENS = {path.stem for path in FILES if "language_modeling" in path.read_text()}  # see test_every_token_dataset.py
PREFERENCES = {path.stem for path in FILES if "task: preference" in path.read_text()}  # see test_bradley_terry.py
PROMPTS = {path.stem for path in FILES if "task: rlvr" in path.read_text()}  # see test_every_prompt_dataset.py
OTHERS = TOKENS | PREFERENCES | PROMPTS
NEED_NO_FILE = [name for name, config in CONFIGS.items() if not {"root", "path"} & set(config) and name not in OTHERS]


def build(name, seed=0):
    module = __import__(f"lossbench.datasets.{name}", fromlist=[name])
    return getattr(module, name)(generator=generator(seed))


def test_some_are_found():
    assert {"digits", "mnist1d", "diabetes"} <= set(NEED_NO_FILE)


@pytest.mark.parametrize("name", CONFIGS)
def test_config_mirrors_the_function(name, monkeypatch):
    monkeypatch.delenv("LOSSBENCH_DATA", raising=False)
    config = {key: CONFIGS[name][key] for key in CONFIGS[name] if not OmegaConf.is_missing(CONFIGS[name], key)}
    config.pop("defaults", None)
    assert config.pop("_target_") == f"lossbench.datasets.{name}.{name}" and config.pop("_partial_") is True
    function = getattr(__import__(f"lossbench.datasets.{name}", fromlist=[name]), name)
    parameters = inspect.signature(function).parameters.values()
    assert config == {p.name: p.default for p in parameters if p.default is not p.empty}
    required = {p.name for p in parameters if p.default is p.empty}
    assert required == {"generator"} | {key for key in CONFIGS[name] if OmegaConf.is_missing(CONFIGS[name], key)}


@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if "root" in config])
def test_root_comes_from_the_environment(name, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_DATA", "/somewhere")
    assert CONFIGS[name].root == "/somewhere"


@pytest.mark.parametrize("name", NEED_NO_FILE)
def test_shapes_and_types(name):
    dataset = build(name)
    assert len({tuple(split.inputs.shape[1:]) for split in splits(dataset)}) == 1
    for split in splits(dataset):
        assert split.inputs.dtype in (torch.uint8, torch.float32, torch.int64)  # of tokens
        assert split.labels and all(len(values) == len(split) > 0 for values in split.labels.values())
        for word, values in split.labels.items():
            assert hasattr(vocabulary, word)
            if split.inputs.dtype == torch.int64:
                assert values.shape[:1] == split.inputs.shape[:1]  # of tokens: more in test_every_token_dataset.py
            elif word == "targets":
                assert values.dtype == torch.int64 and values.ndim == 1
                assert values.unique().tolist() == list(range(dataset.num_outputs))
            elif word == "task_targets":
                assert values.dtype == torch.int64 and values.ndim == 2
                assert all(task.unique().tolist() == list(range(dataset.num_outputs)) for task in values.T)
            elif word == "groups":
                assert values.dtype == torch.int64 and values.unique().tolist() == list(range(dataset.num_groups))
            elif word in ("counterfactual_inputs", "unlabeled_inputs", "shifted_inputs", "rationales"):
                assert values.dtype == split.inputs.dtype and values.shape == split.inputs.shape
            elif word == "anomalies":
                assert values.dtype == torch.bool and values.shape == (len(split),)
            elif word == "demonstrations":
                assert values.dtype == torch.float32 and set(values.unique().tolist()) <= {0.0, 1.0}
            elif word == "attributes":
                assert values.dtype == torch.float32 and values.ndim == 2
            else:
                assert values.dtype == torch.float32 and values.shape == (len(split), dataset.num_outputs)
    if dataset.class_names:
        assert len(dataset.class_names) == dataset.num_outputs


@pytest.mark.parametrize("name", NEED_NO_FILE)
def test_standardised_training_inputs_have_mean_0_and_deviation_1(name):
    dataset = build(name)
    if dataset.mean is None:  # inputs that mean something as they are: whether a word is there, tokens
        assert dataset.std is None
        return
    x = (dataset.train.inputs.float() - dataset.mean) / dataset.std
    over_all = dataset.mean.ndim == 0
    std, mean = torch.std_mean(x, None if over_all else 0)
    tolerance = 0.01 if name == "mnist1d" else 1e-4  # mnist1d: of its train and validation together
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=tolerance)
    torch.testing.assert_close(std, torch.ones_like(std), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", NEED_NO_FILE)
def test_the_generator_decides_the_split(name):
    first, again, other = build(name), build(name), build(name, seed=1)
    for one, two in zip(splits(first), splits(again), strict=True):
        assert torch.equal(one.inputs, two.inputs)
        assert all(torch.equal(one.labels[key], two.labels[key]) for key in one.labels)
    assert not torch.equal(_drawn(first.validation), _drawn(other.validation))


def _drawn(split):
    """The inputs, or what stands after them where all have one prompt."""
    return split.inputs if len(split.inputs.unique(dim=0)) > 1 else split.labels["targets"]
