"""Every method of lossbench, found by walking its folders: the file system is the registry."""

import ast
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from lossbench import contract

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lossbench"
# The folders with one method a file; a method's name is its own in all of them.
MODEL_SIDE = ("losses", "regularizers", "reweightings", "reductions", "models", "heads", "optimizers", "schedules",
              "aggregations")  # fmt: skip
DATA_SIDE = ("datasets", "variants", "augmentations")
GROUPS = MODEL_SIDE + DATA_SIDE


@dataclass(frozen=True)
class Method:
    """One module with one public function of the module's own name. It is imported when it is first used, so that a
    module that cannot be imported fails its own tests only."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def group(self) -> str:
        """The folder, without the plural: 'loss', 'regularizer'; the name of its group of configs."""
        return _singular(self.path.relative_to(PACKAGE).parts[0])

    @property
    def family(self) -> str:
        """What lies between the group and the module: 'classification/' for losses, '' for the other groups."""
        return "".join(part + "/" for part in self.path.relative_to(PACKAGE).parts[1:-1])

    @cached_property
    def module(self) -> ModuleType:
        return importlib.import_module(".".join(self.path.relative_to(ROOT).with_suffix("").parts))

    @cached_property
    def function(self) -> Callable:
        names = [name for name in vars(self.module) if _names(self.path, name)]
        assert names, f"{self.path.relative_to(ROOT)} defines no '{self.name}'"
        return getattr(self.module, names[0])

    @property
    def words(self) -> tuple[str, ...]:
        """The tensors that it names."""
        return contract.tensor_names(self.function)

    @property
    def defaults(self) -> dict[str, Any]:
        """The default of every hyper-parameter."""
        return {name: p.default for name, p in contract.hyperparameters(self.function).items()}


def methods(group: str) -> list[Method]:
    """All methods of a folder of lossbench, ``losses`` for example, in alphabetical order.

    A module without a public function or class of its own name is a helper, except among losses and regularizers,
    where it is a mistake that test_properties.py reports.
    """
    found = [Method(path) for path in sorted((PACKAGE / group).rglob("*.py")) if path.stem != "__init__"]
    return [m for m in found if group in ("losses", "regularizers") or _defines(m.path)]


def _defines(path: Path) -> bool:
    return any(
        isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and _names(path, node.name)
        # A data set is drawn from keywords alone; a function that takes anything else helps to write data sets.
        and not (path.parent.name == "datasets" and isinstance(node, ast.FunctionDef) and node.args.args)
        for node in ast.parse(path.read_text()).body
    )


def _names(path: Path, name: str) -> bool:
    """Whether the name is that of the module; an optimizer is a class, in torch's spelling: SAM in sam.py."""
    if path.parent.name == "optimizers":
        return name[:1].isupper() and name.lower() == path.stem.replace("_", "")
    return name == path.stem


def _singular(folder: str) -> str:
    return folder.removesuffix("es") if folder == "losses" else folder.removesuffix("s")
