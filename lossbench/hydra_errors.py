"""Hydra's and OmegaConf's errors in our words: what is wrong, what would be right, which key."""

import re
from collections.abc import Iterator, Sequence

from lossbench.errors import nearest
from lossbench.locations import config_files, groups


def worded(error: Exception, arguments: Sequence[str] = ()) -> str | None:
    """One or two lines for an error of composing a config; None for an error that is no user's mistake.

    arguments   of the command line, from which the keys are found that there would have been
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, ValueError) and "Config group override must be" in str(error):
        return "a config group takes a name, or a list of names. `lossbench train --help` shows the groups."
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    text = str(error)
    if found := re.search(r"Could not (?:find|load) '([^']+)'", text):
        group, _, name = found.group(1).rpartition("/")
        if group in groups():
            known = list(config_files(group))
            near = nearest(name, known) or "."
            return f"{group}={name}: there is no such {group}{near} There are: {', '.join(known)}."
        return f"{found.group(1)}: there is no such config."
    if found := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(found.group(1), text, arguments)
    if found := re.search(r"Key '([^']+)' is not in struct", text):
        full = re.search(r"full_key: (\S+)", text)
        return _unknown_key(full.group(1) if full else found.group(1), text, arguments)
    if found := re.search(r"missing mandatory value: (\S+)|Missing mandatory value: (\S+)", text):
        return f"{found.group(1) or found.group(2)} must be given."
    return " ".join(text.split("\n\nSet the environment")[0].split())


def _unknown_key(key: str, text: str, arguments: Sequence[str]) -> str:
    known = re.search(r"Did you mean:? ([^?\n]+)", text)
    hint = f", did you mean {known.group(1).strip()}?" if known else nearest(key, _keys(arguments)) or "."
    return f"{key}: there is no such key{hint} `lossbench train --cfg job` shows all; '+{key}=...' adds a new one."


def _keys(arguments: Sequence[str]) -> list[str]:
    """The groups, and the keys of the config that the choices of groups among the arguments give."""
    from hydra import compose, initialize
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import DictConfig

    def walk(node: DictConfig, prefix: str) -> Iterator[str]:
        for name in map(str, node):
            yield f"{prefix}{name}"
            child = node._get_node(name)
            if isinstance(child, DictConfig):
                yield from walk(child, f"{prefix}{name}.")

    chosen = [a for a in arguments if a.partition("=")[0].lstrip("+~").partition("@")[0] in groups()]
    GlobalHydra.instance().clear()
    try:
        with initialize(config_path=None, version_base="1.3"):
            return [*groups(), *walk(compose("train", overrides=chosen), "")]
    except Exception:  # this only looks for a hint
        return groups()
