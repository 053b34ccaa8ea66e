"""One table, five ways to write it: for a terminal, as CSV, JSON, LaTeX or Markdown.

CSV and JSON are for programs: numbers in full, what is missing is empty or null. The others are for people: the numbers
of a column share their decimals and stand to the right, what is missing is a dash. Names are data here, never markup:
'loss[gamma=2]' and 'cross_entropy' arrive as they are. Nothing is ever cut off.
"""

import csv
import io
import json
import math
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TextIO

from lossbench.errors import UsageError, nearest

Cell = str | float | int | bool | None
Format = Literal["table", "csv", "json", "latex", "markdown"]

SIGNIFICANT = 4  # digits of the largest number of a column

ASCII = {
    "±": "+/-",
    "→": "->",
    "←": "<-",
    "↔": "<->",
    "↑": "^",
    "↓": "v",
    "×": "x",
    "·": "*",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "∞": "inf",
    "−": "-",
    "–": "-",
    "—": "-",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "↔": r"$\leftrightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "−": r"$-$",
    "–": "--",
    "—": "---",
}

LATIN_LOOKING_GREEK = "ΑΒΕΖΗΙΚΜΝΟΡΤΧο"  # LaTeX has no commands for these


@dataclass(frozen=True)
class Table:
    """Column names, and rows of as many cells: text, numbers, or None where there is nothing."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"A row of {len(row)} cells under {len(self.columns)} columns: {list(row)}.")


def render(table: Table, format: Format = "table", width: int | None = None, encoding: str = "utf-8") -> str:
    """The table as text, with a newline at its end.

    format    table, csv, json, latex (tabular, needs booktabs), markdown (GitHub's)
    width     of the terminal, for format table: long text wraps between words; None is as wide as it needs. A terminal
              too narrow for the longest words gets wider lines, not shorter words.
    encoding  of where it goes: what that cannot hold is replaced, ± by +/-, and frames by ASCII ones
    """
    if format not in _RENDERERS:
        raise UsageError(
            f"There is no table format '{format}'{nearest(format, _RENDERERS) or '.'} "
            f"Choose --format {', '.join(_RENDERERS)}."
        )
    # numpy's scalars and 0-d tensors become Python's numbers: JSON knows no others
    rows: list[list[Cell]] = [[getattr(cell, "item", lambda cell=cell: cell)() for cell in row] for row in table.rows]
    return _RENDERERS[format](Table(table.columns, rows), width, encoding)


def show(table: Table, format: Format = "table", stream: TextIO | None = None) -> None:
    """Writes the table to standard output: as wide as the terminal, and as wide as it needs where there is none."""
    stream = stream or sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else None
    stream.write(render(table, format, width, getattr(stream, "encoding", None) or "utf-8"))


# --- the formats -------------------------------------------------------------------------------------------------


def _terminal(table: Table, width: int | None, encoding: str) -> str:
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    table = _encodable_table(table, encoding)
    columns = range(len(table.columns))
    right = [is_numeric(table, i) for i in columns]
    body = [list(map(_one_line, number_texts([row[i] for row in table.rows]))) for i in columns]
    head = [_one_line(name) for name in table.columns]
    natural = [max(1, *map(cell_len, (head[i], *body[i]))) for i in columns]
    # Text wraps between words only: a name or a number in two pieces is not itself.
    words = [max(1, *(cell_len(word) for line in (head[i], *body[i]) for word in line.split(" "))) for i in columns]
    smallest = [natural[i] if right[i] else words[i] for i in columns]

    plain = not _fits("─", encoding)
    between, edges = 3, 4 if plain else 0  # what the frames below add
    widths = list(natural)
    excess = 0 if width is None else sum(widths) + between * (len(widths) - 1) + edges - width
    for _ in range(excess):
        shrinkable = [i for i in columns if widths[i] > smallest[i]]
        if shrinkable:
            widths[max(shrinkable, key=widths.__getitem__)] -= 1

    rich_table = RichTable(box=box.ASCII if plain else box.SIMPLE_HEAD, show_edge=plain, pad_edge=plain)
    for i in columns:
        rich_table.add_column(
            Text(head[i]), justify="right" if right[i] else "left", width=widths[i], no_wrap=right[i], overflow="fold"
        )
    for row in zip(*body, strict=True):
        rich_table.add_row(*map(Text, row))
    written = io.StringIO()
    room = sum(widths) + between * len(widths) + edges  # all of it: rich must not shrink anything
    console = Console(
        file=written, width=room, color_system=None, force_terminal=False, force_jupyter=False, legacy_windows=False
    )
    console.print(rich_table)
    return "".join(line.rstrip() + "\n" for line in written.getvalue().splitlines()) or "\n"


def _csv(table: Table, width: int | None, encoding: str) -> str:
    table = _encodable_table(table, encoding)
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow(["" if _is_missing(cell) else _exact(cell) for cell in row])
    return written.getvalue()


def _json(table: Table, width: int | None, encoding: str) -> str:
    """A list of one object per row. JSON knows no NaN (null here) and no infinity ("inf" and "-inf" here)."""
    rows = [
        {name: None if _is_missing(cell) else _exact(cell) for name, cell in zip(table.columns, row, strict=True)}
        for row in table.rows
    ]
    text = json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if _fits(text, encoding):
        return text
    return json.dumps(rows, indent=2, ensure_ascii=True, allow_nan=False) + "\n"  # its own escapes lose nothing


def _latex(table: Table, width: int | None, encoding: str) -> str:
    columns = range(len(table.columns))
    body = [number_texts([row[i] for row in table.rows], missing="--") for i in columns]
    alignment = "".join("r" if is_numeric(table, i) else "l" for i in columns)
    lines = [_latex_row([_latex_text(name) for name in table.columns])]
    for number, row in enumerate(table.rows):
        cells = [
            _latex_text(body[i][number]) if isinstance(row[i], str) else _latex_number(body[i][number]) for i in columns
        ]
        lines.append(_latex_row(cells))
    head = ["% \\usepackage{booktabs}", rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", lines[0], r"\midrule"]
    # Encoded last: LaTeX has commands for much that ASCII lacks.
    return _encodable("\n".join([*head, *lines[1:], r"\bottomrule", r"\end{tabular}"]) + "\n", encoding)


def _latex_row(cells: list[str]) -> str:
    # \\ and booktabs' rules take what follows in brackets, and a star, for an argument: an empty group protects it.
    protected = ["{}" + cell if cell.startswith(("[", "*", "(")) else cell for cell in cells]
    return " & ".join(protected) + r" \\"


def _latex_text(text: str) -> str:
    def command(character: str) -> str:
        greek = _greek(character) if character not in LATIN_LOOKING_GREEK else ""
        return LATEX.get(character, f"$\\{greek}$" if greek else character)

    return "".join(map(command, _one_line(text)))


def _latex_number(text: str) -> str:
    text = text.replace("inf", r"$\infty$")
    return re.sub(r"^-(?!-)", "$-$", text)  # a minus, not a hyphen; the dashes of a missing cell stay


def _markdown(table: Table, width: int | None, encoding: str) -> str:
    table = _encodable_table(table, encoding)
    columns = range(len(table.columns))
    cells = [
        [_markdown_text(name), *map(_markdown_text, number_texts([row[i] for row in table.rows]))]
        for i, name in enumerate(table.columns)
    ]
    widths = [max(3, *map(len, column)) for column in cells]
    right = [is_numeric(table, i) for i in columns]
    lines = [
        [cells[i][row].rjust(widths[i]) if right[i] else cells[i][row].ljust(widths[i]) for i in columns]
        for row in range(len(table.rows) + 1)
    ]
    lines.insert(1, ["-" * (widths[i] - 1) + (":" if right[i] else "-") for i in columns])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _markdown_text(text: str) -> str:
    # An underscore inside a word is no emphasis: cross_entropy stays readable.
    return re.sub(r"([\\|*`<~]|\](?=\()|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", _one_line(text))


_RENDERERS: dict[str, Callable[[Table, int | None, str], str]] = {
    "table": _terminal,
    "csv": _csv,
    "json": _json,
    "latex": _latex,
    "markdown": _markdown,
}


# --- cells -------------------------------------------------------------------------------------------------------


def number_texts(cells: Sequence[Cell], missing: str = "-") -> list[str]:
    """The cells of one column as text; its floats share their decimals, so that they can be compared by eye.

    The largest number has 4 significant digits, the smallest at least 2 where the column is below 10; zeros that all
    would end with are left out. What has fewer than 2 digits then, or more than 15, is written by itself, like 1.2e-07.
    """
    floats = [cell for cell in cells if isinstance(cell, float) and math.isfinite(cell)]
    sizes = [abs(f) for f in floats if f]
    decimals = 0
    if sizes:
        decimals = SIGNIFICANT - 1 - math.floor(math.log10(max(sizes)))
        if max(sizes) < 10:
            decimals = max(decimals, min(5, 1 - math.floor(math.log10(min(sizes)))))
        decimals = max(decimals, 0) if decimals <= 7 else 0  # 0: each stands alone, below 0.0001
    shared = {f for f in floats if not _stands_alone(f, decimals)}
    while decimals and all(f"{f:.{decimals}f}".endswith("0") for f in shared):
        decimals -= 1
    alone = set(floats) - shared

    def text(cell: Cell) -> str:
        if _is_missing(cell):
            return missing
        if not isinstance(cell, float) or not math.isfinite(cell):
            return str(_exact(cell)) if not isinstance(cell, bool) else str(cell).lower()
        if cell in alone:
            return f"{cell:.{SIGNIFICANT}g}"
        return f"{cell + 0.0:.{decimals}f}"  # -0.0 + 0.0 is 0.0

    return [text(cell) for cell in cells]


def _stands_alone(value: float, decimals: int) -> bool:
    return value != 0 and not 10.0 ** (1 - decimals) <= abs(value) < 1e15


def _is_missing(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def is_numeric(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows if not _is_missing(row[column])]
    return bool(cells) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)


def _exact(cell: Cell) -> Cell:
    """The cell for programs: JSON has no infinity, so it is a word."""
    return str(cell) if isinstance(cell, float) and math.isinf(cell) else cell


def _one_line(text: str) -> str:
    """Without line breaks and other control characters (an escape would reach the terminal)."""
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)


def _encodable_table(table: Table, encoding: str) -> Table:
    return Table(
        [_encodable(name, encoding) for name in table.columns],
        [[_encodable(cell, encoding) if isinstance(cell, str) else cell for cell in row] for row in table.rows],
    )


def _encodable(text: str, encoding: str) -> str:
    """The text with what the encoding cannot hold replaced: by its ASCII likeness, by its name or its code."""

    def replaced(character: str) -> str:
        bare = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
        for candidate in (character, ASCII.get(character, ""), _greek(character), bare):
            if candidate and _fits(candidate, encoding):
                return candidate
        return character.encode("ascii", "backslashreplace").decode()

    return text if _fits(text, encoding) else "".join(map(replaced, text))


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _greek(character: str) -> str:
    """alpha for α, Delta for Δ; empty for what is not a Greek letter."""
    match = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(character, ""))
    if not match:
        return ""
    name = match[2].lower().replace("lamda", "lambda")
    return name if match[1] == "SMALL" else name.capitalize()
