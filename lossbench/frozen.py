"""Frozen models in the config of a task: how they were asked for, and which runs that came to."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

FOUND = ("run", "folder")  # what composing adds to how a model is trained: {train: ..., run: ..., folder: ...}
# task.teacher={train:...}, task.teachers=[{train:...}] and task.teacher.train=[...], with or without ++
_TRAINED = re.compile(r"((?:\+\+)?task\.\w+(?:\.train)?)=\s*[\[{]")


def replacing(overrides: Sequence[str]) -> list[str]:
    """Overrides in whose order those of how a frozen model is trained take the place of what is there.

    Hydra would merge two mappings, so that a model would be trained by the keys of both, and refuse a list where there
    is a mapping. Set to null before, a key keeps nothing.
    """
    found: list[str] = []
    for override in overrides:
        given = _TRAINED.match(override)
        if given and (given[1].endswith(".train") or re.search(r"\btrain\s*:", override)):
            found.append(f"{given[1]}=null")
        found.append(override)
    return found


def as_asked(task: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a task without the runs that its frozen models come from. These depend on the seed, so that only
    in this form repetitions of one setting are equal."""

    def asked(value: Any) -> Any:
        if isinstance(value, Mapping) and "train" in value:
            return {key: entry for key, entry in value.items() if key not in FOUND}
        return [asked(entry) for entry in value] if isinstance(value, list) else value

    return {key: asked(value) for key, value in task.items()}
