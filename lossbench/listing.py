"""What `lossbench list` and `lossbench show` say, read from the files: pure functions, nothing is printed here.

Names, families and summaries come from the configs, tensors and docstrings from the source by ``ast``. torch is
imported only where a question needs the code itself: which losses a task can host, and the ranges of hyper-parameters.
"""

import ast
import importlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lossbench import locations
from lossbench.errors import UsageError, nearest
from lossbench.papers import catalogue
from lossbench.results.tables import Table

_TARGET = re.compile(r"^\s*_target_:\s*([\w.]+)", re.MULTILINE)
_NO_HYPERPARAMETER = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_", "defaults"}


# --- list ----------------------------------------------------------------------------------------------------------


def kinds() -> dict[str, str]:
    """What can be listed: 'losses' -> the config group 'loss', and so on for every group."""
    names = sorted({*locations.groups(), "paper"})
    return {name + ("es" if name.endswith(("s", "ch")) else "s"): name for name in names}


def table(kind: str, *, task: str | None = None, family: str | None = None, status: str | None = None) -> Table:
    """The table of everything of a kind ('losses', 'papers', 'datasets' ...), sorted by name.

    task     only losses, regularizers and reweightings that the task can host, or data sets that it can use
    family   only losses or papers of this family
    status   only papers that are hosted, planned or not_hosted
    Raises UsageError for a kind, task, family or status that does not exist or does not apply.
    """
    group = kinds().get(kind)
    if group is None:
        raise UsageError(f"list {kind}: no such list{nearest(kind, kinds()) or '.'} There are: {', '.join(kinds())}.")
    for option, value, applies_to in (
        ("task", task, ("losses", "regularizers", "reweightings", "datasets")),
        ("family", family, ("losses", "papers")),
        ("status", status, ("papers",)),
    ):
        if value is not None and kind not in applies_to:
            raise UsageError(f"--{option} does not apply to '{kind}'. It applies to: {', '.join(applies_to)}.")
    if group == "paper":
        return _papers(family, status)
    files = locations.config_files(group)
    if family is not None:
        _known("family", family, {family_of(path) for path in files.values()})
        files = {name: path for name, path in files.items() if family_of(path) == family}
    if task is not None:
        fits = _serves if group == "dataset" else _hosts
        files = {name: path for name, path in files.items() if fits(path, _task_class(task))}
    rows_of = {"loss": _loss_row, "regularizer": _needs_row, "reweighting": _needs_row, "dataset": _dataset_row}
    make = rows_of.get(group, _row)
    rows = [{"name": name, **make(path), "summary": summary(path)} for name, path in files.items()]
    columns = list(rows[0]) if rows else ["name", "summary"]
    return Table(columns=columns, rows=[list(row.values()) for row in rows])


def _row(path: Path) -> dict[str, str]:
    return {}


def _loss_row(path: Path) -> dict[str, str]:
    return {"family": family_of(path), "needs": ", ".join(tensor_names(path))}


def _needs_row(path: Path) -> dict[str, str]:
    return {"needs": ", ".join(tensor_names(path))}


def _dataset_row(path: Path) -> dict[str, str]:
    return {"task": _task_of(path)}


def _papers(family: str | None, status: str | None) -> Table:
    papers = catalogue.papers()
    if family is not None:
        _known("family", family, {paper.family for paper in papers})
    if status is not None:
        _known("status", status, catalogue.STATUSES)
    rows = [
        [paper.slug, paper.status, paper.family, paper.year, paper.arxiv, _with_reason(paper)]
        for paper in papers
        if family in (None, paper.family) and status in (None, paper.status)
    ]
    return Table(columns=["name", "status", "family", "year", "arxiv", "summary"], rows=rows)


def _with_reason(paper: catalogue.Paper) -> str:
    if paper.status == "not_hosted":
        return f"{paper.summary} Not hosted: {paper.reason}"
    if paper.status == "planned" and paper.reason:
        return f"{paper.summary} Planned: {paper.reason}"
    if paper.missing:
        return f"{paper.summary} Its preset still lacks {', '.join(paper.missing)}."
    return paper.summary


def _known(option: str, value: str, known: Any) -> None:
    if value not in known:
        names = ", ".join(sorted(known))
        raise UsageError(f"--{option} {value}: there is no such {option}{nearest(value, known) or '.'} Known: {names}.")


# --- which losses a task can host ----------------------------------------------------------------------------------


def compatible(task: str, group: str = "loss") -> list[str]:
    """The losses (or regularizers) that the task can host, by name."""
    chosen = _task_class(task)
    return [name for name, path in locations.config_files(group).items() if _hosts(path, chosen)]


def _task_class(task: str) -> type:
    from lossbench.tasks import tasks

    _known("task", task, set(tasks()))
    return tasks()[task]


def _hosts(path: Path, task: type) -> bool:
    from lossbench.objective import missing, unsuited

    function, also = load(path), ("losses",) if "reweighting" in path.parts else ()
    return not missing(function, task, also=also) and not unsuited(function, task)


def _serves(path: Path, task: type) -> bool:
    """A data set serves the task that it chooses, and the tasks that are kinds of that one."""
    own = _task_of(path)
    return bool(own) and issubclass(task, _task_class(own))


def _task_of(path: Path) -> str:
    """The task that a data set's config chooses; without a choice, that of train.yaml."""
    root = locations.configs() / "train.yaml"
    for config in (path, root):
        if config.exists():
            for _, name in catalogue.choices(config.read_text(encoding="utf-8"), {"task": set()}):
                return name
    return ""


# --- what a config and its module say ------------------------------------------------------------------------------


def family_of(path: Path) -> str:
    """The folder of a config below its group; '' where the group has no folders."""
    return path.parent.relative_to(locations.configs() / group_of(path)).as_posix().removeprefix(".")


def group_of(path: Path) -> str:
    return path.relative_to(locations.configs()).parts[0]


def summary(path: Path) -> str:
    """The comment that a config begins with; a line for Hydra ('# @package ...') is none."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @"):
            return line.lstrip("# ").strip()
    return ""


def target(path: Path) -> str | None:
    """The dotted name of what the config makes; None for a config that only sets values."""
    found = _TARGET.search(path.read_text(encoding="utf-8"))
    return found[1] if found else None


def source(path: Path) -> Path | None:
    """The module that the config's target lives in, where it is one of lossbench's."""
    parts = (target(path) or "").split(".")
    file = locations.PACKAGE.parent.joinpath(*parts[:-1]).with_suffix(".py") if len(parts) > 1 else None
    return file if file and parts[0] == "lossbench" and file.is_file() else None


def docstring(path: Path) -> str:
    """The docstring of the module behind a config, read without importing it."""
    file = source(path)
    return (ast.get_docstring(_parsed(file)) if file else None) or ""


def tensor_names(path: Path) -> list[str]:
    """The positional parameters of the function behind a config, read without importing it."""
    file, name = source(path), (target(path) or "").rpartition(".")[2]
    for node in _parsed(file).body if file else ():
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    return []


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def load(path: Path) -> Callable:
    """What the config's target names, imported."""
    module, _, name = (target(path) or "").rpartition(".")
    return getattr(importlib.import_module(module), name)


# --- show ----------------------------------------------------------------------------------------------------------


def show(name: str) -> str:
    """Everything about one name, as text: 'polyloss', 'loss/polyloss', 'loss/classification/polyloss', 'paper/sam'.

    A paper often has the name of its method: then the method is shown, with a line that says how to see the paper.
    Raises UsageError where no group has the name, or where several groups have it.
    """
    found = {group: path for group in locations.groups() if group != "paper" and (path := _find(group, name))}
    papers = {paper.slug: paper for paper in catalogue.papers()}
    if not found and name.removeprefix("paper/") in papers:
        return _show_paper(papers[name.removeprefix("paper/")])
    if not found:
        known = {*papers, *(entry for group in locations.groups() for entry in locations.config_files(group))}
        raise UsageError(f"show {name}: nothing has this name{nearest(name.rpartition('/')[2], known) or '.'}")
    if len(found) > 1:
        places = [f"{group}/{name}" for group in found]
        raise UsageError(f"show {name}: {' and '.join(places)} have this name. Say which: lossbench show {places[0]}.")
    group, path = next(iter(found.items()))
    slug = path.stem.replace("_", "-")
    also = f"The paper of the same name: lossbench show paper/{slug}" if slug in papers else ""
    sections = _show(group, path, list(papers.values()))
    return _sections(f"{group}/{path.stem}", docstring(path) or summary(path), sections, also)


def _find(group: str, name: str) -> Path | None:
    """The config that the name, alone or with its group or family before it, means within a group."""
    head, _, rest = name.replace("=", "/").partition("/")  # as the command line has it: recipe=grpo
    wanted = rest if head == group and rest else name
    for stem, path in locations.config_files(group).items():
        if wanted in (stem, path.relative_to(locations.configs() / group).with_suffix("").as_posix()):
            return path
    return None


def _show(group: str, path: Path, papers: list[catalogue.Paper]) -> dict[str, str]:
    file = source(path)
    sections = {"Hyper-parameters": _hyperparameters(path)}
    if group in ("loss", "regularizer", "reweighting"):
        from lossbench.tasks import tasks

        hosts = [task for task in tasks() if _hosts(path, _task_class(task))]
        sections["Tasks that can host it"] = ", ".join(hosts) or "none yet"
    if group == "task":
        from lossbench.objective import provided

        chosen = _task_class(path.stem)
        sections["Tensors"] = ", ".join(dict.fromkeys((*chosen.batch, *provided(chosen))))  # type: ignore[attr-defined]
        sections["Losses that it can host"] = ", ".join(compatible(path.stem))
    sections[f"Config, chosen by {group}={path.stem}"] = path.read_text(encoding="utf-8").strip()
    sections["Papers"] = _columns([[p.slug, p.status, _cite(p)] for p in _naming(group, path, papers)])
    sections["Tests"] = "\n".join(_shown(test) for test in _tests(group, path.stem))
    sections["Files"] = "\n".join(_shown(found) for found in (file, path) if found)
    return sections


def _hyperparameters(path: Path) -> str:
    """Name, value in the config and allowed values of each, in words."""
    from omegaconf import OmegaConf

    from lossbench.contract import describe, signature

    values: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    if not isinstance(values, Mapping):
        return ""
    if "_target_" not in values:  # a variant, augmentation or regularizer: all under its name
        values = next((v for v in values.values() if isinstance(v, Mapping) and "_target_" in v), {})
    keys = [key for key in values if key not in _NO_HYPERPARAMETER]
    if not keys:
        return ""
    try:
        parameters = signature(load(path))
    except ImportError as error:
        parameters = {}
        note = f"\n(their ranges are not known here: {error})"
    else:
        note = ""
    rows = [
        [
            key,
            values[key] if isinstance(values[key], str) else json.dumps(values[key]),
            describe(parameters[key].annotation) if key in parameters else "",
        ]
        for key in keys
    ]
    return _columns(rows) + note


def _naming(group: str, path: Path, papers: list[catalogue.Paper]) -> list[catalogue.Paper]:
    """Those of the papers whose presets name this config."""
    names = {path.stem, path.relative_to(locations.configs() / group).with_suffix("").as_posix()}
    chosen = {(group, name) for name in names}
    return [
        paper
        for paper in papers
        if paper.preset and chosen & catalogue.choices(paper.preset.read_text(encoding="utf-8"), {group: set()})
    ]


def _tests(group: str, name: str) -> list[Path]:
    """Its tests; only a repository has them, an installed wheel does not."""
    plural = next(kind for kind, of in kinds().items() if of == group)
    return sorted((locations.PACKAGE.parent / "tests" / plural).rglob(f"test_{name}.py"))


def _show_paper(paper: catalogue.Paper) -> str:
    facts = [["family", paper.family], ["role", paper.role.replace("-", " ")], ["status", paper.status]]
    if paper.arxiv:
        facts.append(["arXiv", f"https://arxiv.org/abs/{paper.arxiv}"])
    if paper.status == "hosted":
        facts.append(["run it", f"lossbench paper {paper.slug}"])
    why = "Why it is not hosted" if paper.status == "not_hosted" else "Why it is not hosted yet"
    sections = {"": _columns(facts), why: paper.reason or ""}
    if paper.missing:
        sections["Named by its preset, but not here yet"] = "\n".join(paper.missing)
    if paper.preset:
        sections["Preset"] = paper.preset.read_text(encoding="utf-8").strip()
        sections["Files"] = _shown(paper.preset)
    year = f" ({paper.year})" if paper.year else ""
    return _sections(f"paper/{paper.slug}", f"{paper.title}{year}\n\n{paper.summary}", sections, "")


def _cite(paper: catalogue.Paper) -> str:
    return paper.title + (f" (arXiv:{paper.arxiv})" if paper.arxiv else "")


def _sections(title: str, text: str, sections: Mapping[str, str], end: str) -> str:
    parts = [title, text]
    for heading, body in sections.items():
        if body:
            indented = "\n".join(f"  {line}".rstrip() for line in body.splitlines())
            parts.append(f"{heading}\n{indented}" if heading else indented)
    return "\n\n".join([*parts, end] if end else parts)


def _columns(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _shown(path: Path) -> str:
    """The path from the repository's root, or whole where it is elsewhere, as in an installed package."""
    root = locations.PACKAGE.parent
    in_repository = (root / "pyproject.toml").exists() and path.is_relative_to(root)
    return path.relative_to(root).as_posix() if in_repository else str(path)
