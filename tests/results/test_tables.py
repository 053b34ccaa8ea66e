import csv
import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from markdown_it import MarkdownIt

from lossbench.errors import UsageError
from lossbench.results.tables import Table, number_texts, render, show

nan, inf = math.nan, math.inf
FORMATS = ("table", "csv", "json", "latex", "markdown")
NASTY = Table(
    ["method", "mean ± half", "steps", "words"],
    [
        ["cross_entropy", 0.93214, 1200, "a | b \\| c \\"],
        ["loss[gamma=2]", -0.1, None, "[bold]not markup[/bold] :smile:"],
        ["100% of $x_1$ & {y}~^#<z>", nan, 7, "*a* `b` _c_ <i>d</i> &lt; [e](f) ~~g~~"],
    ],
)


def lines(text):
    return text.splitlines()


# --- for people --------------------------------------------------------------------------------------------------


def test_terminal_by_hand():
    table = Table(["loss", "accuracy", "n"], [["focal", 0.91234, 10], ["polyloss", 0.9, None]])
    assert render(table) == (
        "loss       accuracy    n\n"  # two numbers share four decimals and stand to the right
        "────────────────────────\n"
        "focal        0.9123   10\n"
        "polyloss     0.9000    -\n"
    )
    assert render(table, encoding="ascii") == (
        "+--------------------------+\n"
        "| loss     | accuracy |  n |\n"
        "|----------+----------+----|\n"
        "| focal    |   0.9123 | 10 |\n"
        "| polyloss |   0.9000 |  - |\n"
        "+--------------------------+\n"
    )


def test_terminal_takes_names_for_names():
    text = render(NASTY)
    for row in NASTY.rows:
        assert row[0] in text and row[3] in text
    assert render(Table(["loss[gamma=2]"], [])).startswith("loss[gamma=2]\n")
    assert "\x1b" not in render(Table(["a"], [["\x1b[31mred\nline"]]))
    assert len(lines(render(Table(["a"], [["two\nlines"]])))) == 3


def test_terminal_is_as_wide_as_it_needs():
    table = Table([f"column {i}" for i in range(40)], [["word " * 20] * 40])
    assert max(map(len, lines(render(table)))) > 40 * 90
    assert "…" not in render(table) and render(table).count("word") == 800


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [1, 40, 60, 80, 500])
def test_terminal_wraps_between_words_and_loses_none(width, encoding):
    rows = [["loss[gamma=2]", 0.12345, "8 seeds are needed before this test can reject", "one two three four five six"]]
    text = render(Table(["method", "mean", "words", "more words"], rows * 2), width=width, encoding=encoding)
    for word in ["loss[gamma=2]", "0.1235", "8", "seeds", "needed", "before", "reject", "one", "three"]:
        assert text.split().count(word) >= 2
    if width >= 60:
        assert max(map(len, lines(text))) <= width
    if width == 60:
        assert len(lines(text)) > 6


def test_markdown_by_hand():
    table = Table(["loss", "n"], [["focal", 10], ["a|b", None]])
    assert render(table, "markdown") == "| loss  |   n |\n| ----- | --: |\n| focal |  10 |\n| a\\|b  |   - |\n"


def test_markdown_reads_back():  # by a parser of GitHub's tables
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(render(NASTY, "markdown"))
    assert {t.type for t in tokens if t.level == 0} == {"table_open", "table_close"}
    inline = [t for t in tokens if t.type == "inline"]
    assert all(child.type in ("text", "text_special") for t in inline for child in t.children)
    read = ["".join(child.content for child in t.children) for t in inline]
    assert read[:4] == list(NASTY.columns)
    for number, row in enumerate(NASTY.rows, 1):
        assert (read[4 * number], read[4 * number + 3]) == (row[0], row[3])
    assert "cross_entropy" in render(NASTY, "markdown")  # readable as it is


def test_latex_by_hand():
    table = Table(["loss", "Δ ± half"], [["cross_entropy", -0.5], ["[α]", nan], ["a & b", inf], ["-x Α", 1.25]])
    assert render(table, "latex") == (
        "% \\usepackage{booktabs}\n"
        "\\begin{tabular}{lr}\n"
        "\\toprule\n"
        "loss & $\\Delta$ $\\pm$ half \\\\\n"
        "\\midrule\n"
        "cross\\_entropy & $-$0.50 \\\\\n"
        "{}[$\\alpha$] & -- \\\\\n"  # \\ would take a bracket for its argument
        "a \\& b & $\\infty$ \\\\\n"
        "-x Α & 1.25 \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_latex_escapes_every_special():
    row = lines(render(Table(["c"], [["100% of $x_1$ & {y}~^#\\<z>|"]]), "latex"))[5]
    assert row == (
        r"100\% of \$x\_1\$ \& \{y\}\textasciitilde{}\textasciicircum{}\#\textbackslash{}\textless{}z\textgreater{}"
        r"\textbar{} \\"
    )


# --- for programs ------------------------------------------------------------------------------------------------


def test_csv_reads_back():
    read = list(csv.reader(io.StringIO(render(NASTY, "csv"))))
    assert read[0] == list(NASTY.columns)
    assert [row[3] for row in read[1:]] == [row[3] for row in NASTY.rows]
    assert [row[1:3] for row in read[1:]] == [["0.93214", "1200"], ["-0.1", ""], ["", "7"]]
    third = Table(["x"], [[1 / 3], [inf], ['quote " comma , newline \n']])
    read = list(csv.reader(io.StringIO(render(third, "csv"))))
    assert float(read[1][0]) == 1 / 3 and float(read[2][0]) == inf and read[3][0] == third.rows[2][0]


def test_json_reads_back():
    for encoding in ("utf-8", "ascii"):
        read = json.loads(render(NASTY, "json", encoding=encoding))
        assert [list(row) for row in read] == [list(NASTY.columns)] * 3
        assert read[0] == dict(zip(NASTY.columns, NASTY.rows[0], strict=True))
        assert read[1]["steps"] is None and read[2]["mean ± half"] is None  # NaN is not JSON
    assert json.loads(render(Table(["x"], [[inf], [-inf], [True]]), "json")) == [
        {"x": "inf"},
        {"x": "-inf"},
        {"x": True},
    ]


def test_numpys_numbers_are_numbers():
    row = [np.float64(0.5), np.int64(3), np.float32(0.25), np.bool_(True), np.float64(nan)]
    table = Table(list("abcde"), [row])
    assert json.loads(render(table, "json")) == [{"a": 0.5, "b": 3, "c": 0.25, "d": True, "e": None}]
    assert lines(render(table))[2].split() == ["0.5", "3", "0.25", "true", "-"]


# --- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        ([0.91234, 0.9], ["0.9123", "0.9000"]),
        ([0.1, 0.03, 0.001], ["0.100", "0.030", "0.001"]),  # no zeros that all end with
        ([1.0, 0.0078125], ["1.0000", "0.0078"]),  # two digits for the smallest p
        ([1.0, 1.234e-7], ["1", "1.234e-07"]),
        ([1234.56, 0.5], ["1235", "0.5"]),
        ([2.0, 100.0], ["2", "100"]),
        ([12.3456, -0.987], ["12.35", "-0.99"]),
        ([3, 0.5], ["3", "0.5"]),
        ([12345678, 9], ["12345678", "9"]),
        ([-0.0, 0.0], ["0", "0"]),
        ([1e20, 1.5], ["1e+20", "1.5"]),
        ([1.5e-9], ["1.5e-09"]),
        ([None, nan, inf, -inf, 0.25, "x", True], ["-", "-", "inf", "-inf", "0.25", "x", "true"]),
        ([], []),
    ],
)
def test_numbers(cells, texts):
    assert number_texts(cells) == texts


def test_numbers_lose_at_most_the_fourth_digit():
    generator = np.random.default_rng(0)
    for size in (1e-5, 1e-3, 0.1, 1.0, 50.0, 1e4):
        cells = (size * generator.uniform(0.1, 1, size=20)).tolist()
        for cell, text in zip(cells, number_texts(cells), strict=True):
            assert abs(float(text) - cell) <= 5e-4 * max(cells)
            assert abs(float(text) - cell) <= 0.05 * cell  # two digits of every number


# --- where it goes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_ascii_holds_every_format(format):
    table = Table(["é ± ü", "α → β"], [["≤ ≥ × − – “x”", 0.5], ["Ж\ud800", -inf]])
    text = render(table, format, encoding="ascii")
    assert text.isascii() and text.endswith("\n")
    if format in ("table", "csv", "markdown"):
        assert "e +/- u" in text and "alpha -> beta" in text and "<= >= x - - " in text and "\\u0416" in text.lower()


@pytest.mark.parametrize("format", FORMATS)
def test_edges(format):
    for table in (Table([], []), Table(["a"], []), Table(["a", "b"], [[None, None]]), Table(["", ""], [["", ""]])):
        assert render(table, format).endswith("\n")
    assert render(NASTY, format, width=80, encoding="utf-8") == render(NASTY, format, width=80, encoding="utf-8")


def test_errors():
    with pytest.raises(UsageError, match="did you mean 'markdown'"):
        render(NASTY, "markdwon")
    with pytest.raises(ValueError, match="1 cells under 2 columns"):
        Table(["a", "b"], [["x"]])


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_show_fits_a_terminal_and_nothing_else(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    table = Table(["method", "words"], [["focal", "word " * 30]])
    terminal, file = Terminal(), io.StringIO()
    show(table, stream=terminal)
    show(table, stream=file)
    assert max(map(len, lines(terminal.getvalue()))) <= 50 < max(map(len, lines(file.getvalue())))
    assert terminal.getvalue().count("word") == file.getvalue().count("word") == 31


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_show_through_a_pipe(encoding):
    program = (
        "import sys; from lossbench.results.tables import Table, show; assert 'rich' not in sys.modules;"
        "[show(Table(['loss[gamma=2] \\xb1'] * 9, [['\\u2192' + 'x' * 30] * 9]), format)"
        f" for format in {FORMATS}]"
    )
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONIOENCODING": encoding}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode(encoding)
    assert text.count("x" * 30) >= 9 * 4 and "…" not in text
    assert ("\xb1" in text) == (encoding != "ascii")
