"""`lossbench sync`: push every finished run that wandb does not have, or not wholly. Twice does nothing more."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossbench.errors import UsageError
from lossbench.loggers.run_files import is_mirrored, read_config, read_json
from lossbench.loggers.wandb_mirror import WARNING, resolved_mode

DEFAULT_PROJECT = "lossbench"


@dataclass(frozen=True)
class Synced:
    """``pushed`` of the ``finished`` runs went to wandb now; ``failed`` still have to."""

    finished: int
    pushed: int
    failed: int
    mode: str
    warnings: tuple[str, ...]


def sync(
    outputs: Path,
    *,
    project: str | None = None,
    entity: str | None = None,
    mode: str = "auto",
    directory: Path | None = None,
) -> Synced:
    """Mirror what is missing; each run goes to the project, group and tags that its config names, unless ``project`` or
    ``entity`` is given. Raises UsageError where there are no runs."""
    outputs = Path(outputs).absolute()
    folders = sorted(path.parent for path in outputs.glob("runs/**/record.json"))
    if not folders:
        raise UsageError(
            f"{outputs} has no finished run to push. Name the folder of the runs with --outputs or LOSSBENCH_OUTPUTS."
        )
    resolved = resolved_mode(mode)
    missing: dict[tuple[str, ...], list[Path]] = {}
    for folder in folders:
        there = is_mirrored(folder, online=resolved == "online", project=project, entity=entity)
        if there or resolved == "disabled":
            continue
        own = _logger(folder)
        missing.setdefault(_arguments(own, project, entity), []).append(folder)
    pushed, warnings = 0, []
    for arguments, group in missing.items():
        warning = _run(arguments, group, resolved, directory or outputs)
        warnings += [warning] if warning else []
        target = _target(_logger(group[0]), project, entity)
        pushed += sum(is_mirrored(folder, online=resolved == "online", **target) for folder in group)
    total = sum(map(len, missing.values()))
    return Synced(len(folders), pushed, total - pushed, resolved, tuple(warnings))


def _logger(folder: Path) -> Mapping[str, Any]:
    config = read_config(folder) or (read_json(folder / "record.json") or {}).get("config") or {}
    return (config.get("logger") or {}).get("wandb") or {}


def _target(own: Mapping[str, Any], project: str | None, entity: str | None) -> dict[str, str | None]:
    return {"project": project or own.get("project") or DEFAULT_PROJECT, "entity": entity or own.get("entity")}


def _arguments(own: Mapping[str, Any], project: str | None, entity: str | None) -> tuple[str, ...]:
    values = _target(own, project, entity) | {"group": own.get("group")}
    tags = (f"--tag={tag}" for tag in own.get("tags") or ())
    return (*(f"--{key}={value}" for key, value in values.items() if value is not None), *tags)


def _run(arguments: Sequence[str], folders: Sequence[Path], mode: str, directory: Path) -> str:
    """One mirror process for runs of one target. Returns its warning, '' where all went well."""
    command = [sys.executable, "-m", "lossbench.loggers.wandb_mirror", "--listen", "--poll=0.05", f"--mode={mode}"]
    messages = [*({"add": str(folder)} for folder in folders), {"end": True}]
    done = subprocess.run(
        [*command, f"--directory={directory}", *arguments],
        input="".join(json.dumps(message) + "\n" for message in messages),
        stderr=subprocess.PIPE,
        text=True,
    )
    if not done.returncode:
        return ""
    warnings = [line for line in done.stderr.splitlines() if line.startswith(WARNING)]
    return warnings[-1] if warnings else f"the mirror ended with exit code {done.returncode}: {done.stderr.strip()}"


def main(arguments: Sequence[str]) -> int:
    """The command. Exit code 1 where something could not be pushed."""
    parser = argparse.ArgumentParser(prog="lossbench sync", description="Push finished runs that wandb does not have.")
    parser.add_argument("--outputs", type=Path, default=Path(os.environ.get("LOSSBENCH_OUTPUTS", "outputs")))
    parser.add_argument("--project", help="instead of the one that each run's config names")
    parser.add_argument("--entity")
    parser.add_argument("--mode", choices=("auto", "online", "offline"), default="auto")
    given = parser.parse_args(arguments)
    result = sync(given.outputs, project=given.project, entity=given.entity, mode=given.mode)
    for warning in result.warnings:
        print(f"lossbench: {warning}", file=sys.stderr)
    there = result.finished - result.pushed - result.failed
    print(f"{result.pushed} runs pushed ({result.mode}), {there} were there already, {result.failed} failed")
    return 1 if result.failed or result.warnings else 0
