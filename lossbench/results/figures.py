"""The charts of the report as files for papers and slides, through matplotlib: SVG or PDF.

The same data, order and colours as on the page (report/charts.py draws those), with a legend inside. matplotlib takes
half a second to import, and is imported only here.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lossbench.results.report.charts import STYLES, interval_range, point_ranges, value_range
from lossbench.results.report.contents import FADED, Chart, Interval, IntervalChart, LineChart, ScatterChart

MARKERS = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D", "down": "v", "plus": "P", "cross": "X",
           "pentagon": "p"}  # fmt: skip
VERDICTS = {"better": "#005fa3", "worse": "#b34100"}
NEUTRAL = "#5a616a"
SETTINGS: Any = {
    "svg.fonttype": "path",  # looks the same where the font is missing
    "svg.hashsalt": "lossbench",  # the same chart is the same file
    "pdf.fonttype": 42,  # TrueType, which publishers ask for
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e8eaed",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
}


def draw(chart: Chart, styles: Mapping[str, int], kind: str) -> bytes:
    """The file's content. ``kind``: svg or pdf; ``styles``: of every method, as in the report."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        tall = 0.32 * len(chart.rows) + 0.9 if isinstance(chart, IntervalChart) else 3.0
        figure = Figure(figsize=(4.8, tall), layout="constrained")
        axes = figure.add_subplot()
        if isinstance(chart, IntervalChart):
            _intervals(axes, chart)
        elif isinstance(chart, ScatterChart):
            _points(axes, chart, styles)
        else:
            _lines(axes, chart, styles)
        axes.set_title(chart.title, fontsize=9.5, parse_math=False)
        written = io.BytesIO()
        stamp = {"Date": None} if kind == "svg" else {"CreationDate": None}
        figure.savefig(written, format=kind, metadata=stamp)
    return written.getvalue()


def _lines(axes: Any, chart: LineChart, styles: Mapping[str, int]) -> None:
    shown = [curve for curve in chart.curves if len(curve.x)]
    handles, names = [], []
    for curve in sorted(shown, key=lambda curve: styles[curve.name]):
        style = styles[curve.name]
        if style == FADED:
            drawn = "steps-post" if chart.stairs else "default"
            axes.plot(curve.x, curve.y, color=NEUTRAL, alpha=0.4, linewidth=0.6, zorder=1, drawstyle=drawn)
            continue
        colour = STYLES[style].light
        dashes = tuple(float(length) for length in STYLES[style].dash.split())
        (line,) = axes.plot(
            curve.x,
            curve.y,
            color=colour,
            drawstyle="steps-post" if chart.stairs else "default",
            linestyle=(0, dashes) if dashes else "-",
            linewidth=1.7 if style == 0 else 1.3,
            marker=MARKERS[STYLES[style].marker],
            markersize=3.5,
            markevery=max(1, len(curve.x) // 6),
            zorder=4 if style == 0 else 3,
        )
        if len(curve.low):
            step = "post" if chart.stairs else None
            axes.fill_between(
                curve.x, curve.low, curve.high, color=colour, alpha=0.13, linewidth=0, zorder=2, step=step
            )
        handles.append(line)
        names.append(curve.name + (" (diverged)" if curve.diverged else ""))
    if chart.logarithmic:
        axes.set_yscale("log")
    axes.set_ylim(*value_range(shown, chart.logarithmic))
    if all(float(x).is_integer() for curve in shown for x in curve.x):
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(chart.x_label, parse_math=False)
    axes.set_ylabel(chart.y_label, parse_math=False)
    _legend(axes, handles, names)


def _legend(axes: Any, handles: Sequence[Any], names: Sequence[str]) -> None:
    # matplotlib drops labels that begin with an underscore and reads $...$ as mathematics: the names come afterwards.
    legend = axes.legend(handles, [str(number) for number in range(len(names))])
    for entry, name in zip(legend.get_texts(), names, strict=True):
        entry.set_parse_math(False)
        entry.set_text(name)


def _points(axes: Any, chart: ScatterChart, styles: Mapping[str, int]) -> None:
    for curve in chart.limits:
        axes.plot(curve.x, curve.y, color=NEUTRAL, alpha=0.5, linewidth=0.7, zorder=1)
    handles, names = [], []
    for group in sorted(chart.groups, key=lambda group: styles[group.name]):
        style = styles[group.name]
        faded = style == FADED
        (drawn,) = axes.plot(
            group.x,
            group.y,
            color=NEUTRAL if faded else STYLES[style].light,
            linestyle="none",
            marker=MARKERS["circle" if faded else STYLES[style].marker],
            markersize=3.0 if faded else 5.0,
            alpha=0.5 if faded else 1.0,
            zorder=4 if style == 0 else 2 if faded else 3,
        )
        if not faded:
            handles.append(drawn)
            names.append(group.name)
    across, up = point_ranges(chart)
    axes.set_xlim(*across)
    axes.set_ylim(*up)
    axes.set_xlabel(chart.x_label, parse_math=False)
    axes.set_ylabel(chart.y_label, parse_math=False)
    _legend(axes, handles, names)


def _intervals(axes: Any, chart: IntervalChart) -> None:
    if chart.zero:
        axes.axvline(0.0, color=NEUTRAL, linewidth=0.9)
    for position, row in enumerate(chart.rows):
        if not math.isfinite(row.value):
            continue
        colour = VERDICTS.get(row.verdict, NEUTRAL)
        known = math.isfinite(row.low)
        if known:
            axes.plot([row.low, row.high], [position, position], color=colour, linewidth=1.5, marker="|", markersize=7)
        axes.plot(
            [row.value], [position], color=colour, marker="o", markersize=4.5, fillstyle="full" if known else "none"
        )
    axes.set_yticks(range(len(chart.rows)), labels=_names(chart.rows), parse_math=False)
    axes.set_ylim(len(chart.rows) - 0.4, -0.6)
    axes.set_xlim(*interval_range(chart))
    axes.grid(False, axis="y")
    arrow = f"{chart.x_label} (better →)" if chart.better == "right" else f"(← better) {chart.x_label}"
    axes.set_xlabel(arrow, parse_math=False)


def _names(rows: Sequence[Interval]) -> list[str]:
    return [row.name for row in rows]
