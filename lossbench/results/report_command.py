"""`lossbench report`: one HTML file with tables and charts; on request the charts as files and the tables as LaTeX."""

import os
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lossbench.errors import UsageError, nearest

if TYPE_CHECKING:
    from lossbench.results.report.contents import Report
    from lossbench.results.tables import Table

FORMATS = ("svg", "pdf")


def run(arguments: list[str]) -> int:
    """The command. Everything is computed before the first file is written."""
    from lossbench.display import say
    from lossbench.results.report.contents import Question, gather
    from lossbench.results.report.page import page

    options = _parser().parse_args(arguments)
    formats = _formats(options.figures)
    path = options.output or options.outputs / "report.html"
    if path.is_dir():
        raise UsageError(f"-o {path} is a folder. Name the file to write, such as -o {path / 'report.html'}.")
    question = Question(
        by=options.by,
        metric=options.metric,
        baseline=options.baseline,
        where=options.where,
        tuned=options.tuned,
        mix=options.mix,
        higher=None if options.direction is None else options.direction == "higher",
    )
    report = gather(options.outputs, question)
    written = {path: page(report).encode()}
    beside = path.parent / f"{path.stem}-files"
    if formats:
        from lossbench.results import figures

        for chart in report.charts():
            for kind in formats:
                written[_free(written, beside / f"{_file_name(chart.key)}.{kind}")] = figures.draw(
                    chart, report.styles, kind
                )
    if options.latex:
        from lossbench.results.tables import render

        for name, shown in _tables(report):
            written[_free(written, beside / f"{_file_name(name)}.tex")] = render(shown, "latex").encode()
    _write(written)
    for section in report.sections:
        for sentence in section.sentences:
            say(f"{sentence.dataset}: {sentence.name}: {sentence.words}. {sentence.numbers.replace('−', '-')}")
    for dataset, words in report.refused:
        say(f"{dataset} is not compared: {words}")
    others = f", and {len(written) - 1} files in {beside}" if len(written) > 1 else ""
    say(f"written: {path} ({len(written[path]) / 1000:.0f} kB){others}")
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="lossbench report",
        description="Write one HTML file that needs no network: verdicts, learning curves, differences, profiles, "
        "tuning, every run with its command, the environment.",
    )
    parser.add_argument("--by", default="loss", help="loss, optimizer, schedule, ... or a config key (default: loss)")
    parser.add_argument("--baseline", help="the value of --by to compare with (default: cross_entropy where present)")
    parser.add_argument("--metric", help="such as test/accuracy (default: the first test metric of each data set)")
    parser.add_argument("--where", action="append", default=[], metavar="KEY=VALUE",
                        help="only runs with this; may be repeated")  # fmt: skip
    parser.add_argument("--tuned", action="store_true", help="every method with its best setting by validation")
    parser.add_argument("--mix", action="store_true", help="allow runs that differ in data, model or budget")
    parser.add_argument("--direction", choices=("higher", "lower"), help="which values of the metric are better")
    parser.add_argument(
        "--figures", default="", metavar="svg,pdf", help="also write every chart as a file of these kinds"
    )
    parser.add_argument("--latex", action="store_true", help="also write the tables as LaTeX")
    parser.add_argument("--outputs", type=Path, default=Path(os.environ.get("LOSSBENCH_OUTPUTS", "outputs")),
                        help="folder of the runs (default: LOSSBENCH_OUTPUTS, or outputs)")  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, help="the file to write (default: report.html in the outputs "
                        "folder); figures and LaTeX go into a folder beside it")  # fmt: skip
    return parser


def _formats(text: str) -> list[str]:
    formats = [kind.strip().lower() for kind in text.split(",") if kind.strip()]
    for kind in formats:
        if kind not in FORMATS:
            raise UsageError(
                f"--figures {kind} is not known{nearest(kind, FORMATS) or '.'} Choose {' or '.join(FORMATS)}."
            )
    return list(dict.fromkeys(formats))


def _tables(report: "Report") -> "Iterator[tuple[str, Table]]":
    several = len(report.sections) > 1
    for section in report.sections:
        suffix = f"-{section.metric}" if several else ""
        yield f"comparison{suffix}", section.table
        if section.overall is not None:
            yield f"over-data-sets{suffix}", section.overall
        yield f"time-to-target{suffix}", section.times


def _file_name(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.=-]+", "_", name, flags=re.ASCII).strip("._")[:120] or "figure"


def _free(taken: dict[Path, bytes], path: Path) -> Path:
    """The path, numbered where two names became one."""
    candidate, number = path, 2
    while candidate in taken:
        candidate, number = path.with_stem(f"{path.stem}-{number}"), number + 1
    return candidate


def _write(contents: dict[Path, bytes]) -> None:
    from lossbench.checkpoint import write_atomically

    for path, content in contents.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}. Choose another file with -o.") from None
