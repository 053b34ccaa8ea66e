"""The tasks. A task is a class whose public methods provide the tensors they are named after.

A method's parameters are names again: of the batch, of other methods, or of the engine (``body`` and ``head``, the two
parts of the model; ``generator``, which makes the method a random draw from the stream of its own name). ``metrics`` is
the one public method that provides no tensor: its parameters name what evaluation collects, and it turns them into the
numbers that every run of the task reports, whatever loss trained it.

``batch``       names that every batch of the task has
``selection``   (metric, "higher" or "lower"): which validation metric chooses the reported model
``start``       may be absent: a frozen model whose weights the trained model begins with
``same_model``  may be absent: keywords of frozen models that are to be of the run's own ``model`` and ``head``, such as
                the one to start from: where they are trained first, they have these, unless told otherwise
``collected``   may be absent: the tensors that are made once for a batch of the data, before the steps on it, with the
                weights of that moment, in evaluation mode and without gradient: samples from the model, for instance.
                Their first axis is that of the batch
``withheld``    may be absent: names of the batch that a step does not see, because the task's methods of these names,
                where it has them, are what is meant
``parts``, ``passes``   keys of the config where a batch of the data serves several steps: see lossbench/source.py
A keyword-only parameter of the constructor is a key of the task's config; one annotated ``nn.Module`` is given there as
the folder of a finished run and arrives as that run's frozen model.
"""

import importlib
import pkgutil
from typing import Any


def tasks() -> dict[str, Any]:
    """Every task class by its name: the module's name, in CamelCase."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        class_name = "".join(part.capitalize() for part in module.name.split("_"))
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(loaded, class_name):
            found[module.name] = getattr(loaded, class_name)
    return found
