"""The one place that imports torchvision, and only when a data set or model needs it (1.1 s).

The wheel of torchvision on PyPI carries operators for CUDA. Under a torch for the CPU alone they do not load, and
``import torchvision`` fails where it registers ``nms``, although nothing here calls it. On that error only, the schemas
of these operators are declared, without an implementation, and the import is tried again.
"""

import importlib
import sys
from functools import cache
from types import ModuleType

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept: list[torch.library.Library] = []  # a library that is collected takes its schemas with it


@cache
def torchvision() -> ModuleType:
    """The module torchvision, with its submodules datasets, models and transforms."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    _kept.append(library)
    return importlib.import_module("torchvision")
