"""The two kinds of error a user meets. The command line prints them without a traceback."""

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """What was asked for cannot be done: says what is wrong, what would be right, and which key. Exit code 2."""


class Busy(UsageError):
    """Another process is working on this run."""


class RunError(Exception):
    """A run started and failed. Exit code 1."""


def nearest(name: str, known: Iterable[str]) -> str:
    """', did you mean X?' for the known name nearest to ``name``; empty where none is near."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f", did you mean '{matches[0]}'?" if matches else ""
