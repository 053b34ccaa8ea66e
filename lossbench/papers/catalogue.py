"""The catalogue of papers: what each proposes, and whether lossbench hosts it.

``catalogue.jsonl`` has one row a paper, sorted by slug:
    slug      its name here, and that of its preset configs/paper/<slug>.yaml
    title, arxiv, year, family    as published; arxiv and year may be null
    role      what it is: loss, regularizer, reward objective, optimizer, scaling law, theory ...
    priority  A, B, C: what is hosted first; D: not to be hosted
    summary   what it proposes, in one sentence
    reason    why it is not hosted, or not yet; null for those that are

Whether a paper is hosted is not stored: it is when its preset exists and everything that the preset names exists.
Standard library only, so that listing the papers starts at once.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lossbench import locations
from lossbench.errors import UsageError, nearest

FILE = Path(__file__).with_name("catalogue.jsonl")
STATUSES = ("hosted", "planned", "not_hosted")


@dataclass(frozen=True)
class Paper:
    slug: str
    title: str
    arxiv: str | None
    year: int | None
    family: str
    role: str
    priority: str
    summary: str
    reason: str | None  # why it is not hosted, or not yet
    status: str  # one of STATUSES
    preset: Path | None  # configs/paper/<slug>.yaml where it exists
    missing: tuple[str, ...]  # 'group/name' of what the preset names and nobody has written yet


def papers(folder: Path | None = None) -> list[Paper]:
    """Every paper, by slug, with its status against the presets in ``folder`` (default: lossbench's own configs)."""
    folder = folder or locations.configs()
    known = {group: _names(group, folder) for group in locations.groups(folder)}
    presets = locations.config_files("paper", folder)
    with FILE.open(encoding="utf-8") as lines:
        return [_paper(json.loads(line), presets, known) for line in lines]


def find(slug: str) -> Paper:
    """The paper of this slug. Raises UsageError with the nearest one where there is none."""
    found = {paper.slug: paper for paper in papers()}
    if slug not in found:
        raise UsageError(
            f"paper={slug}: no paper has this name{nearest(slug, found) or '.'} 'lossbench list papers' has them all."
        )
    return found[slug]


def choices(preset: str, known: dict[str, set[str]]) -> set[tuple[str, str]]:
    """(group, name) of every choice from a config group that the text of a preset makes, its baselines' too.

    Read line by line instead of by a YAML parser, which would cost more than all the rest of the listing.
    Understood: ``- override /loss: focal``, ``loss: focal`` and ``loss: [a, b]`` alone or within ``{...}``, a list of
    names on the following lines, and ``loss=focal`` as an override in quotes or in a list.
    """
    return {(group, name) for group, name in _written(preset, known) if name not in _NO_NAME}


_NO_NAME = {"null", "all", "none", "_self_", "true", "false", "???", "~"}
_KEY = re.compile(r"(?:^\s*(?:-\s+)?|[{,]\s*)(?:override\s+)?/?(\w+)(?:@[\w.]+)?:(?:\s+(.*)|$)")
_OVERRIDE = re.compile(r"(?:^|[\s,\['\"])\+?(\w+)(?:@[\w.]+)?=(\[[^]]*\]|[\w/]+(?:,[\w/]+\b(?!=))*)")
_NAME = re.compile(r"[A-Za-z_][\w/]*")
_ONLY_A_NAME = re.compile(r"""['"]?([A-Za-z_][\w/]*)['"]?\s*(?:[],}]|$)""")  # a sentence is no name


def _written(preset: str, known: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in preset.splitlines()]
    pending: tuple[str, int] | None = None  # a key without a value, whose list may follow
    for line in lines:
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        entry = re.fullmatch(r"\s*-\s+([A-Za-z_][\w/]*)\s*", line)
        if pending and entry and indent >= pending[1]:
            yield pending[0], entry[1]
            continue
        pending = None
        start = 0
        while match := _KEY.search(line, start):
            group, value = match[1], (match[2] or "").strip()
            start = match.start(2) if match[2] else len(line)
            if group not in known or group == "paper":
                continue
            if not value:
                pending = (group, indent)
            elif value.startswith("["):
                yield from ((group, name) for name in _NAME.findall(value.partition("]")[0]))
            elif name := _ONLY_A_NAME.match(value):
                yield group, name[1]
        for group, value in _OVERRIDE.findall(line):
            if group in known and group != "paper":
                yield from ((group, name) for name in _NAME.findall(value))


def _paper(row: dict, presets: dict[str, Path], known: dict[str, set[str]]) -> Paper:
    preset = presets.get(row["slug"])
    missing: tuple[str, ...] = ()
    if preset:
        named = choices(preset.read_text(encoding="utf-8"), known)
        missing = tuple(sorted(f"{group}/{name}" for group, name in named if name not in known[group]))
    status = "hosted" if preset and not missing else "not_hosted" if row["priority"] == "D" else "planned"
    return Paper(**row, status=status, preset=preset, missing=missing)


def _names(group: str, folder: Path) -> set[str]:
    """Every way to write a choice of the group: the name alone, or its path below the group."""
    paths = locations.config_files(group, folder).values()
    return {p.stem for p in paths} | {p.relative_to(folder / group).with_suffix("").as_posix() for p in paths}
