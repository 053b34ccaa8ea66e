"""The properties of what stands beside a method: its config, its docstring, its test file.

Every function raises AssertionError that names the file.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lossbench import contract
from tests.properties.methods import ROOT, Method

CONFIGS = ROOT / "configs"
ENGINE = {"input_shape", "num_features", "num_outputs", "generator"}  # what the engine passes, and so no config has
HYDRA = {"_target_", "_partial_", "defaults"}
REQUIRED_TESTS = {"test_limit", "test_oracle", "test_hand"}
REQUIRED_LINES = ("Returns", "Paper", "Differs")


def config_files() -> list[Path]:
    return sorted(CONFIGS.rglob("*.yaml"))


def targets(node: Any, where: str) -> Iterator[tuple[str, dict]]:
    """(place, node) of every node that builds something of lossbench."""
    if isinstance(node, dict):
        if str(node.get("_target_", "")).startswith("lossbench."):
            yield where, node
        for key, value in node.items():
            yield from targets(value, f"{where}: {key}")


def nodes(path: Path) -> list[tuple[str, dict]]:
    loaded = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return list(targets(loaded, str(path.relative_to(ROOT))))


def mirrors(node: dict, where: str) -> None:
    """The node has the keys and the defaults of the function that it names, and its values are in their ranges."""
    module, _, name = node["_target_"].rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise AssertionError(f"{where}: _target_ {node['_target_']} is not there: {error}") from error
    if inspect.isfunction(function):
        assert node.get("_partial_") is True, f"{where}: '_partial_: true' is missing"
    config = {key: value for key, value in node.items() if key not in HYDRA}
    included = _included(node.get("defaults", []))
    wanted = {k: p for k, p in contract.signature(function).items() if _in_config(k, p) and k not in included}
    missing, unknown = wanted.keys() - config.keys(), config.keys() - wanted.keys()
    assert not missing, f"{where}: {node['_target_']} also has {sorted(missing)}"
    assert not unknown, f"{where}: {node['_target_']} has no {sorted(unknown)}"
    for key, parameter in wanted.items():
        if parameter.default is not parameter.empty and not _interpolated(config[key]):
            default = _plain(parameter.default)
            same = config[key] == default and isinstance(config[key], bool) == isinstance(default, bool)
            assert same, f"{where}: {key} is {config[key]!r} here and {default!r} in the signature"
    models = {key for key, parameter in wanted.items() if contract.is_model(parameter.annotation)}  # not yet trained
    fixed = {k: v for k, v in config.items() if not _interpolated(v) and v != "???" and k not in models}
    contract.check(function, fixed, where)


def _included(defaults: list) -> set[str]:
    """The keys that a config takes from other configs: 'base' for '- /optimizer@base: sgd'."""
    groups = [group for entry in defaults if isinstance(entry, dict) for group in entry]
    return {group.rpartition("@")[2] for group in groups if "@" in group and not group.startswith("override ")}


def _in_config(name: str, parameter: inspect.Parameter) -> bool:
    """A hyper-parameter; tensors, and what has no default, are what the engine calls the function with."""
    if parameter.kind is parameter.KEYWORD_ONLY:
        return name not in ENGINE
    if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or contract.is_tensor(parameter.annotation):
        return False
    return parameter.default is not parameter.empty


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _interpolated(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")


def has_config(method: Method) -> None:
    """configs/<group>/<family>/<name>.yaml is there, says what it is in its first line, and builds the method."""
    path = CONFIGS / method.group / f"{method.family}{method.name}.yaml"
    where = path.relative_to(ROOT)
    assert path.exists(), f"{method.name}: {where} is missing"
    text = path.read_text().removeprefix("# @package _global_\n")  # of one that sets more than its own node
    assert text.startswith("# ") and not text.startswith("# @"), f"{where}: the first line is no comment on what it is"
    module = ".".join(method.path.relative_to(ROOT).with_suffix("").parts)
    built = [node["_target_"] for _, node in nodes(path)]
    wanted = f"{module}.{method.function.__name__}"
    assert built == [wanted], f"{where} builds {built}, not {wanted}"
    if method.group in ("regularizer", "reweighting", "variant", "augmentation"):
        keys = list(OmegaConf.load(path))
        assert keys == [method.name], (
            f"{where}: one top key, '{method.name}', because several may be chosen; it has {keys}"
        )


def is_documented(method: Method) -> None:
    """The docstring of the module names every parameter and has the lines that every loss has."""
    tree = ast.parse(method.path.read_text())
    text = ast.get_docstring(tree) or ""
    lines = text.splitlines()
    for start in REQUIRED_LINES:
        assert any(line.startswith(start + " ") for line in lines), (
            f"{method.name}: the docstring has no line '{start}'"
        )
    assert lines and lines[0].endswith("."), f"{method.name}: the docstring does not begin with a sentence"
    for name in contract.signature(method.function):
        assert name in text, f"{method.name}: the docstring says nothing of '{name}'"


def has_one_function(method: Method) -> None:
    """The module defines one public function, of its own name; beside it only those that go with a loss."""
    body = ast.parse(method.path.read_text()).body
    public = {n.name for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")}
    assert public - {"init_params", "init_state", "diagnostics"} == {method.name}, (
        f"{method.path.relative_to(ROOT)} defines {public}"
    )


def has_test(method: Method) -> None:
    """tests/<folder>/<family>/test_<name>.py is there, with the three tests that every method has."""
    path = ROOT / "tests" / method.path.parent.relative_to(ROOT / "lossbench") / f"test_{method.name}.py"
    assert path.exists(), f"{method.name}: {path.relative_to(ROOT)} is missing"
    found = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    missing = sorted(REQUIRED_TESTS - found)
    assert not missing, f"{path.relative_to(ROOT)}: {', '.join(missing)} is missing"
