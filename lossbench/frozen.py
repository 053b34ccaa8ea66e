"""Frozen models in the config of a task: how they were asked for, and which runs that came to."""

from collections.abc import Mapping
from typing import Any

FOUND = ("run", "folder")  # what composing adds to how a model is trained: {train: ..., run: ..., folder: ...}


def as_asked(task: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a task without the runs that its frozen models come from. These depend on the seed, so that only
    in this form repetitions of one setting are equal."""

    def asked(value: Any) -> Any:
        if isinstance(value, Mapping) and "train" in value:
            return {key: entry for key, entry in value.items() if key not in FOUND}
        return [asked(entry) for entry in value] if isinstance(value, list) else value

    return {key: asked(value) for key, value in task.items()}
