"""Hydra's and OmegaConf's errors in our words: what is wrong, what would be right, which key."""

import re

from lossbench.errors import nearest
from lossbench.locations import config_files, groups


def worded(error: Exception) -> str | None:
    """One or two lines for an error of composing a config; None for an error that is no user's mistake."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    text = str(error)
    if found := re.search(r"Could not find '([^']+)'", text):
        group, _, name = found.group(1).rpartition("/")
        if group in groups():
            known = list(config_files(group))
            near = nearest(name, known) or "."
            return f"{group}={name}: there is no such {group}{near} There are: {', '.join(known)}."
        return f"{found.group(1)}: there is no such config."
    if found := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(found.group(1), text)
    if found := re.search(r"Key '([^']+)' is not in struct", text):
        full = re.search(r"full_key: (\S+)", text)
        return _unknown_key(full.group(1) if full else found.group(1), text)
    if found := re.search(r"missing mandatory value: (\S+)|Missing mandatory value: (\S+)", text):
        return f"{found.group(1) or found.group(2)} must be given."
    return " ".join(text.split("\n\nSet the environment")[0].split())


def _unknown_key(key: str, text: str) -> str:
    known = re.search(r"Did you mean:? ([^?\n]+)", text)
    hint = f", did you mean {known.group(1).strip()}?" if known else nearest(key, groups()) or "."
    return f"{key}: there is no such key{hint} `lossbench train --cfg job` shows all; '+{key}=...' adds a new one."
