"""The charts as SVG text, drawn here: 25 curves in four charts are 127 KB, where matplotlib needs 391 KB and a second.

Colours come from the page's style sheet by class (s0 the baseline, s1..s7, faded), so that they follow the reader's
light or dark scheme; dashes and markers tell the lines apart without colour.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from lossbench.results.report.contents import FADED, Curve, IntervalChart, LineChart, Points, ScatterChart
from lossbench.results.tables import number_texts

WIDTH, HEIGHT = 420, 260
RIGHT, TOP, BOTTOM = 12, 10, 42
ROW = 36  # of an interval chart: a line of text above a bar
MARKERS_A_CURVE = 6
DIGIT = 7.7  # width of one at the size of the labels, in a wide font


@dataclass(frozen=True)
class Style:
    light: str  # colour on white
    dark: str  # colour on the dark page
    dash: str  # SVG's stroke-dasharray
    marker: str


# Each colour has a contrast of 3 or more to its page; dashes and markers are for those who see few hues.
STYLES = (
    Style("#3b3f45", "#d5d9df", "", "circle"),
    Style("#0068b0", "#5eb0f2", "7 3", "square"),
    Style("#cc4b00", "#ff9a5c", "2 2.5", "triangle"),
    Style("#00795a", "#4fd1a5", "9 3 2 3", "diamond"),
    Style("#9a3f86", "#e79ad6", "5 2", "down"),
    Style("#8a6a00", "#e3c23c", "12 3", "plus"),
    Style("#1787a8", "#86dcf5", "4 2 1 2", "cross"),
    Style("#b3203f", "#ff8295", "1 2", "pentagon"),
)

MARKERS = {  # as paths around 0, 0
    "circle": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "square": "M-2.7-2.7h5.4v5.4h-5.4z",
    "triangle": "M0-3.5l3.3 6h-6.6z",
    "diamond": "M0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z",
    "down": "M0 3.5l3.3-6h-6.6z",
    "plus": "M-1-3.4h2v2.4h2.4v2h-2.4v2.4h-2v-2.4h-2.4v-2h2.4z",
    "cross": "M-3.2-2l1.2-1.2l2 2l2-2l1.2 1.2l-2 2l2 2l-1.2 1.2l-2-2l-2 2l-1.2-1.2l2-2z",
    "pentagon": "M0-3.6l3.4 2.5l-1.3 4h-4.2l-1.3-4z",
}


# --- lines -------------------------------------------------------------------------------------------------------


def line_chart(chart: LineChart, styles: Mapping[str, int], identity: str) -> str:
    """Curves with their bands. ``identity`` is this chart's own on the page."""
    shown = [_stairs(curve) if chart.stairs else curve for curve in chart.curves if len(curve.x)]
    first = min(curve.x[0] for curve in shown)
    last = max(curve.x[-1] for curve in shown)
    if first == last:
        first, last = first - 0.5, last + 0.5
    up = Scale(*value_range(shown, chart.logarithmic), HEIGHT - BOTTOM, TOP, chart.logarithmic)
    whole = all(float(x).is_integer() for curve in shown for x in curve.x)  # half a step does not exist
    parts = [_head(identity, chart.title, _description(shown), WIDTH, HEIGHT)]
    across = _frame(parts, chart, identity, (first, last), up, whole)
    # The baseline is drawn last, so that it lies on top; the faded ones first.
    order = sorted(shown, key=lambda curve: (styles[curve.name] == 0, styles[curve.name] != FADED))
    for curve in order:
        if len(curve.low) and styles[curve.name] != FADED:
            parts.append(_band(curve, across, up, styles[curve.name]))
    for position, curve in enumerate(order):
        # Markers of curves that lie on each other stand side by side.
        parts.append(_line(curve, across, up, styles[curve.name], position / len(order)))
    return "".join([*parts, "</g></svg>"])


def _frame(
    parts: list[str],
    chart: LineChart | ScatterChart,
    identity: str,
    ends: tuple[float, float],
    up: "Scale",
    whole: bool,
) -> "Scale":
    """Adds grid, numbers and labels, and opens the group that is cut off at the frame; returns the horizontal scale.

    ends, whole   of the horizontal axis: its first and last value, and whether only whole numbers are marked
    """
    bottom = HEIGHT - BOTTOM
    left = round(14 + DIGIT * max((len(tick_text(value)) for value in up.ticks()), default=0))
    across = Scale(*ends, left, WIDTH - RIGHT)
    for value in up.ticks():
        y = _number(up(value))
        parts.append(f'<path class="grid" d="M{left} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="end" x="{left - 6}" y="{y}" dy=".35em">{tick_text(value)}</text>')
    for value in across.ticks():
        if value.is_integer() or not whole:
            parts.append(f'<path class="grid" d="M{_number(across(value))} {bottom}v4"/>')
            parts.append(_tick(value, across, bottom + 17))
    parts.append(f'<path class="axis" d="M{left} {bottom}H{WIDTH - RIGHT}"/>')
    width = WIDTH - RIGHT - left
    label = text(chart.x_label, width)
    parts.append(f'<text class="middle label" x="{left + width / 2:g}" y="{HEIGHT - 7}">{label}</text>')
    # Beside the frame there is room for half a marker.
    parts.append(
        f'<clipPath id="{identity}-frame"><rect x="{left - 5}" y="{TOP - 4}" width="{width + 10}" '
        f'height="{bottom - TOP + 4}"/></clipPath><g clip-path="url(#{identity}-frame)">'
    )
    return across


def value_range(curves: Sequence[Curve], logarithmic: bool) -> tuple[float, float]:
    """From the curves themselves; of the bands no more than half as much again on either side, because the interval of
    two seeds can be ten times as high as all that is to be seen."""

    def forward(values: Sequence[float]) -> list[float]:
        return [math.log10(v) if v > 0 else -math.inf for v in values] if logarithmic else list(values)

    values = [v for curve in curves for v in forward(curve.y)]
    lows = [v for curve in curves for v in forward(curve.low)] or values
    highs = [v for curve in curves for v in forward(curve.high)] or values
    low, high = min(values), max(values)
    room = (high - low or abs(high) * 0.1 or 1.0) / 2
    low, high = max(min(low, *lows), low - room), min(max(high, *highs), high + room)
    if low == high:
        low, high = low - room, high + room
    margin = 0.03 * (high - low)
    low, high = low - margin, high + margin
    return (10**low, 10**high) if logarithmic else (low, high)


def _stairs(curve: Curve) -> Curve:
    """The same curve with a corner before each x."""

    def held(values: Sequence[float]) -> list[float]:
        return [value for value in values for _ in range(2)][:-1]

    x = [value for value in curve.x for _ in range(2)][1:]
    return Curve(curve.name, x, held(curve.y), held(curve.low), held(curve.high), curve.diverged)


def _line(curve: Curve, across: "Scale", up: "Scale", style: int, offset: float) -> str:
    points = [(_number(across(x)), _number(up(y))) for x, y in zip(curve.x, curve.y, strict=True)]
    path = "M" + "L".join(f"{x} {y}" for x, y in points)
    name = escape(curve.name + (" (diverged)" if curve.diverged else ""))
    if style == FADED:
        return f'<g class="faded"><title>{name}</title><path class="line" d="{path}"/></g>'
    dash = STYLES[style].dash
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    every = max(1, len(points) // MARKERS_A_CURVE)
    marked = points if len(points) <= MARKERS_A_CURVE else points[int(offset * every) :: every]
    shape = MARKERS[STYLES[style].marker]
    markers = "".join(f'<path class="mark" transform="translate({x} {y})" d="{shape}"/>' for x, y in marked)
    if curve.diverged:
        markers += (
            f'<path class="ended" transform="translate({points[-1][0]} {points[-1][1]})" d="M-5-5L5 5M5-5L-5 5"/>'
        )
    return f'<g class="s{style}"><title>{name}</title><path class="line"{dashed} d="{path}"/>{markers}</g>'


def _band(curve: Curve, across: "Scale", up: "Scale", style: int) -> str:
    def edge(values: Sequence[float]) -> list[str]:
        pairs = zip(curve.x, values, strict=True)
        return [f"{_number(across(x))} {_number(up(y))}" for x, y in pairs]

    path = "M" + "L".join([*edge(curve.high), *reversed(edge(curve.low))]) + "z"
    return f'<path class="band s{style}" d="{path}"/>'


def _description(curves: Sequence[Curve]) -> str:
    """What a reader who does not see the chart gets: where every curve ends."""
    ends = number_texts([float(curve.y[-1]) for curve in curves])
    return "Last values: " + ", ".join(f"{c.name} {end}" for c, end in zip(curves, ends, strict=True)) + "."


def swatch(style: int) -> str:
    """A piece of the line, for the legend."""
    if style == FADED:
        inner = '<path class="line" d="M1 7H33"/>'
        return f'<svg class="swatch faded" viewBox="0 0 34 14" aria-hidden="true">{inner}</svg>'
    dash = f' stroke-dasharray="{STYLES[style].dash}"' if STYLES[style].dash else ""
    marker = MARKERS[STYLES[style].marker]
    inner = f'<path class="line"{dash} d="M1 7H33"/><path class="mark" transform="translate(17 7)" d="{marker}"/>'
    return f'<svg class="swatch s{style}" viewBox="0 0 34 14" aria-hidden="true">{inner}</svg>'


# --- points ------------------------------------------------------------------------------------------------------


def scatter_chart(chart: ScatterChart, styles: Mapping[str, int], identity: str) -> str:
    """A marker for each run, over the limits in grey. Every marker says under the pointer which run it is."""
    (first, last), (low, high) = point_ranges(chart)
    up = Scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [_head(identity, chart.title, _scatter_description(chart), WIDTH, HEIGHT)]
    across = _frame(parts, chart, identity, (first, last), up, whole=False)
    for curve in chart.limits:
        places = "L".join(f"{_number(across(x))} {_number(up(y))}" for x, y in zip(curve.x, curve.y, strict=True))
        parts.append(f'<g class="faded"><title>{escape(curve.name)}</title><path class="line" d="M{places}"/></g>')
    for group in sorted(chart.groups, key=lambda group: (styles[group.name] == 0, styles[group.name] != FADED)):
        style = styles[group.name]
        shape = MARKERS["circle" if style == FADED else STYLES[style].marker]
        parts.append(f'<g class="{"faded" if style == FADED else f"s{style}"}">')
        for x, y, words in zip(group.x, group.y, group.words, strict=True):
            numbers = " ".join(number_texts([x]) + number_texts([y]))
            parts.append(
                f'<path class="mark" transform="translate({_number(across(x))} {_number(up(y))})" d="{shape}">'
                f"<title>{escape(f'{words}: {numbers}')}</title></path>"
            )
        parts.append("</g>")
    return "".join([*parts, "</g></svg>"])


def point_ranges(chart: ScatterChart) -> tuple[tuple[float, float], tuple[float, float]]:
    """Of both axes: all points and limits, with a margin."""

    def wide(values: Sequence[float]) -> tuple[float, float]:
        low, high = min(values), max(values)
        margin = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
        return low - margin, high + margin

    parts: list[Points | Curve] = [*chart.groups, *chart.limits]
    return wide([x for part in parts for x in part.x]), wide([y for part in parts for y in part.y])


def _scatter_description(chart: ScatterChart) -> str:
    """What a reader who does not see the chart gets: the middle of the points of each method."""
    across = number_texts([sum(group.x) / len(group.x) for group in chart.groups])
    up = number_texts([sum(group.y) / len(group.y) for group in chart.groups])
    means = [f"{group.name} {x} and {y}" for group, x, y in zip(chart.groups, across, up, strict=True)]
    above = " Grey lines: the most that any policy can have." if chart.limits else ""
    return f"Mean {chart.x_label} and mean {chart.y_label}: {'; '.join(means)}.{above}"


def dot(style: int) -> str:
    """A marker alone, for the legend."""
    if style == FADED:
        return swatch(FADED)
    marker = f'<path class="mark" transform="translate(17 7)" d="{MARKERS[STYLES[style].marker]}"/>'
    return f'<svg class="swatch s{style}" viewBox="0 0 34 14" aria-hidden="true">{marker}</svg>'


# --- intervals ---------------------------------------------------------------------------------------------------


def interval_chart(chart: IntervalChart, identity: str) -> str:
    """A row for each method: its name and numbers above its interval, which leaves both the whole width of a phone."""
    side = 10
    height = ROW * len(chart.rows) + 52
    bottom = height - 44
    low, high = interval_range(chart)
    across = Scale(low, high, side, WIDTH - side)
    numbers = number_texts([value for row in chart.rows for value in (row.value, row.low, row.high)])
    rows = [numbers[start : start + 3] for start in range(0, len(numbers), 3)]
    described = "; ".join(f"{row.name} {_words(own, chart.zero)}" for row, own in zip(chart.rows, rows, strict=True))
    parts = [_head(identity, chart.title, described, WIDTH, height)]

    def upright(value: float) -> str:  # beside the bars only: through the words it would be noise
        return "".join(f"M{_number(across(value))} {number * ROW + 19}v12" for number in range(len(chart.rows)))

    marked = across.ticks(5)
    parts.append(f'<path class="grid" d="{"".join(map(upright, marked))}"/>')
    parts += [_tick(value, across, bottom + 15) for value in marked]
    if chart.zero:
        parts.append(f'<path class="axis" d="{upright(0.0)}"/>')
    for number, (row, own) in enumerate(zip(chart.rows, rows, strict=True)):
        words = _words(own, chart.zero)
        y = number * ROW + 14
        room = WIDTH - 2 * side - DIGIT * 11 / 12 * (len(words) + 1)
        parts.append(f'<g class="{verdict_class(row.verdict)}"><title>{escape(f"{row.name}: {words}")}</title>')
        parts.append(f'<text class="name" x="{side}" y="{y}">{text(row.name, room)}</text>')
        parts.append(f'<text class="end small" x="{WIDTH - side}" y="{y}">{escape(words)}</text>')
        if math.isfinite(row.value):
            parts.append(_bar(row.value, row.low, row.high, across, low, high, y + 11))
        parts.append("</g>")
    arrow = f"{chart.x_label} (better →)" if chart.better == "right" else f"(← better) {chart.x_label}"
    parts.append(f'<text class="middle label" x="{WIDTH / 2:g}" y="{height - 8}">{text(arrow, WIDTH)}</text>')
    return "".join([*parts, "</svg>"])


def interval_range(chart: IntervalChart) -> tuple[float, float]:
    """All values, and of the intervals what leaves the others legible: the interval of two seeds can be ten times as
    wide as the rest, and is cut off with an arrow."""
    values = [row.value for row in chart.rows if math.isfinite(row.value)] + ([0.0] if chart.zero else [])
    halves = sorted(row.high - row.value for row in chart.rows if math.isfinite(row.high))
    usual = halves[len(halves) // 2] if halves else 0.0
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = max(3 * usual, high - low)
    low = max(min([low, *(row.low for row in chart.rows if math.isfinite(row.low))]), low - room)
    high = min(max([high, *(row.high for row in chart.rows if math.isfinite(row.high))]), high + room)
    margin = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def _bar(value: float, low: float, high: float, across: "Scale", least: float, most: float, y: float) -> str:
    parts = []
    if math.isfinite(low):
        left, right = _number(across(max(low, least))), _number(across(min(high, most)))
        parts.append(f'<path class="interval" d="M{left} {y}H{right}"/>')
        for cut, x, turn in ((low < least, left, 1), (high > most, right, -1)):
            shape = f"M{x} {y}l{6 * turn}-4v8z" if cut else f"M{x} {y - 4}v8"
            parts.append(f'<path class="{"arrow" if cut else "interval"}" d="{shape}"/>')
    hollow = "" if math.isfinite(low) else " hollow"
    parts.append(
        f'<path class="point{hollow}" transform="translate({_number(across(value))} {y})" d="{MARKERS["circle"]}"/>'
    )
    return "".join(parts)


def _words(numbers: Sequence[str], difference: bool) -> str:
    def word(number: str) -> str:
        plus = "+" if difference and number.strip("0.") and number[0] not in "-" else ""
        return plus + number.replace("-", "−")

    value, low, high = numbers
    if value == "-":
        return "no score"
    return f"{word(value)} [{word(low)}, {word(high)}]" if low != "-" else f"{word(value)}, no interval"


def verdict_class(verdict: str) -> str:
    return f"verdict-{verdict.split(' ')[0]}" if verdict else "verdict-none"


# --- shared ------------------------------------------------------------------------------------------------------


class Scale:
    """From values to the picture."""

    def __init__(self, low: float, high: float, start: float, end: float, logarithmic: bool = False):
        self.logarithmic = logarithmic
        self.low, self.high = (math.log10(low), math.log10(high)) if logarithmic else (low, high)
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        if self.logarithmic:
            value = math.log10(value) if value > 0 else self.low - 10 * (self.high - self.low)
        part = (value - self.low) / (self.high - self.low)
        # Far outside is cut off by the frame; numbers of any length would only bloat the file.
        return self.start + max(-9.0, min(10.0, part)) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        if not self.logarithmic:
            return ticks(self.low, self.high, about)
        exponents = range(math.ceil(self.low), math.floor(self.high) + 1)
        if len(exponents) < 2:
            return [value for value in ticks(10**self.low, 10**self.high, about) if value > 0]
        return [10.0**e for e in exponents[:: math.ceil(len(exponents) / about)]]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between low and high."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def tick_text(value: float) -> str:
    words = f"{value:.6g}"
    if abs(value) >= 1e5 or 0 < abs(value) < 1e-4:
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        words = f"{float(mantissa):g}e{int(exponent)}"
    return words.replace("-", "−")


def _tick(value: float, across: Scale, y: float) -> str:
    words = tick_text(value)
    half = len(words) * DIGIT / 2
    x = min(max(across(value), half), WIDTH - half)  # not over the edge
    return f'<text class="middle" x="{_number(x)}" y="{y}">{words}</text>'


def text(words: str, room: float) -> str:
    """Escaped, and cut to ``room``: what is cut stands in the title and in the table."""
    widths = [13.5 if character in "MW@%mw" or ord(character) > 0x2E80 else 9.0 for character in words]
    if sum(widths) <= room:
        return escape(words)
    kept = 0
    while kept < len(words) - 1 and sum(widths[: kept + 1]) + 12 <= room:
        kept += 1
    return escape(words[:kept] + "…")


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _head(identity: str, title: str, description: str, width: int, height: int) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{identity}-title '
        f'{identity}-words"><title id="{identity}-title">{escape(title)}</title>'
        f'<desc id="{identity}-words">{escape(description)}</desc>'
    )
