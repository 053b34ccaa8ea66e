"""The report as one HTML page: its style and script inside, nothing fetched, and nothing that could be.

Readable without the script, which only adds sorting, filtering and copying. A content security policy allows this style
and this script by their digests and nothing else: no address is ever asked for anything, and no name that a user chose
could run as code even if it were not escaped.
"""

import base64
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files

import lossbench
from lossbench.results.report.charts import (
    STYLES,
    dot,
    interval_chart,
    line_chart,
    scatter_chart,
    swatch,
    verdict_class,
)
from lossbench.results.report.contents import (
    FADED,
    Chart,
    IntervalChart,
    LineChart,
    Report,
    ScatterChart,
    Section,
    Sentence,
)
from lossbench.results.tables import Table, is_numeric, number_texts

SENTENCES = 18  # on the first screen; the rest is folded
LONG = 44  # characters of a column from which its lines wrap
SIGNS = {"better": "▲", "worse": "▼", "no difference shown": "≈", "too few seeds": "?", "baseline": "●"}
STATUS = ("completed", "diverged", "failed", "timed_out")


def page(report: Report) -> str:
    """The whole file."""
    style, script = _style(), _asset("script.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    numbered = _Numbered()
    metrics = ", ".join(section.metric for section in report.sections)
    sections = _sections(report, numbered)
    links = "".join(f'<li><a href="#{identity}">{escape(title)}</a></li>' for identity, title, _ in sections)
    body = "".join(
        f'<section id="{identity}" aria-labelledby="{identity}-heading">'
        f'<h2 id="{identity}-heading">{escape(title)}</h2>{content}</section>\n'
        for identity, title, content in sections
    )
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="lossbench {escape(lossbench.__version__)}">
<link rel="icon" href="data:,">
<title>{escape(f"{report.question.by}: {metrics or 'no comparison'} - lossbench")}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>Does changing the {escape(report.question.by)} help?</h1>
{_summary(report)}
</header>
<main>
{_answer(report)}
<nav aria-label="Contents"><ul>{links}</ul></nav>
{body}</main>
<footer><p>Written by lossbench {escape(lossbench.__version__)} on {escape(report.created)} from
<code>{escape(str(report.outputs))}</code>. This file is complete in itself.</p></footer>
<script>{script}</script>
</body>
</html>
"""
    return _printable(text)


class _Numbered:
    """Identities of charts, each given once."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> str:
        self.number += 1
        return f"chart-{self.number}"


def _asset(name: str) -> str:
    return files("lossbench.results.report").joinpath(name).read_text(encoding="utf-8")


def _style() -> str:
    """style.css with the colours of the methods."""
    light = "".join(f".s{i}{{--c:{style.light}}}" for i, style in enumerate(STYLES))
    dark = "".join(f".s{i}{{--c:{style.dark}}}" for i, style in enumerate(STYLES))
    return f"{light}@media (prefers-color-scheme: dark){{@media screen{{{dark}}}}}\n{_asset('style.css')}"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _printable(text: str) -> str:
    """Without control characters, which HTML does not have, and without halves of characters, which paths may hold."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\ufffd", text)
    return text.encode("utf-8", errors="replace").decode("utf-8")


# --- the first screen --------------------------------------------------------------------------------------------


def _summary(report: Report) -> str:
    total = sum(report.counts.values())
    parts = [f"{total} {_plural(total, 'run')}"]
    parts += [f"{report.counts[status]} {status.replace('_', ' ')}" for status in STATUS if report.counts.get(status)]
    if report.unfinished:
        parts.append(f"{len(report.unfinished)} begun and not ended")
    if report.question.where:
        parts.append(f"only {', '.join(report.question.where)} ({report.hidden} others left out)")
    return f'<p class="quiet">{escape(" · ".join(parts))}</p>'


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _answer(report: Report) -> str:
    """What a reader came for."""
    sentences = [sentence for section in report.sections for sentence in section.sentences]
    parts = ['<section class="answer" aria-label="The answer">']
    if sentences:
        parts.append(f'<p class="verdict-line">{_tally(sentences)}</p>')
    datasets = [c.dataset for section in report.sections for c in section.found]
    room = max(3, SENTENCES // max(1, len(datasets)))
    for section in report.sections:
        for comparison in section.found:
            own = [sentence for sentence in section.sentences if sentence.dataset == comparison.dataset]
            parts.append(_dataset_answer(comparison.dataset, own, comparison.notes, room, section.metric))
    for dataset, words in report.refused:
        options = re.sub(r"(--\w+)", r'<span class="option">\1</span>', escape(words))
        parts.append(f'<p class="refused"><b>{escape(dataset)}</b> is not compared: {options}</p>')
    if not report.sections and not report.refused:
        parts.append('<p class="refused">There is nothing to compare.</p>')
    return "".join([*parts, "</section>\n"])


def _tally(sentences: Sequence[Sentence]) -> str:
    counts = {verdict: sum(s.verdict == verdict for s in sentences) for verdict in SIGNS if verdict != "baseline"}
    told = [f"{_badge(verdict, f'{count} {verdict}')}" for verdict, count in counts.items() if count]
    return f"{len(sentences)} {_plural(len(sentences), 'comparison')}: " + ", ".join(told)


def _badge(verdict: str, words: str | None = None) -> str:
    sign = f'<span aria-hidden="true">{SIGNS.get(verdict, "")}</span> '
    return f'<span class="badge {verdict_class(verdict)}">{sign}{escape(words or verdict)}</span>'


def _dataset_answer(dataset: str, sentences: Sequence[Sentence], notes: Sequence[str], room: int, metric: str) -> str:
    rank = list(SIGNS)
    ordered = sorted(sentences, key=lambda s: (rank.index(s.verdict), math.isnan(s.gain), -s.gain))
    items = [
        f'<li class="{verdict_class(s.verdict)}"><span class="sign" aria-hidden="true">{SIGNS[s.verdict]}</span>'
        f"<span><b>{escape(s.name)}</b>: <em>{escape(s.words)}</em>. {_numbers(s.numbers)}."
        + (f' <span class="quiet">{escape(_capital(s.notes))}.</span>' if s.notes else "")
        + "</span></li>"
        for s in ordered
    ]
    parts = [f'<div class="dataset"><h2>{escape(dataset)} <span class="quiet">{escape(metric)}</span></h2>']
    parts += [f'<ul class="sentences">{"".join(items[:room])}</ul>' if items else ""]
    if len(items) > room:
        parts.append(f"<details><summary>{len(items) - room} more</summary>"
                     f'<ul class="sentences">{"".join(items[room:])}</ul></details>')  # fmt: skip
    parts += [f'<p class="quiet">{escape(_capital(note))}.</p>' for note in notes]
    return "".join([*parts, "</div>"])


def _numbers(words: str) -> str:
    """With minus signs, and without breaks where a line would begin with half a statement."""
    words = words.replace(" -", " −").replace("(-", "(−")
    for together in ("n = ", "p = ", " seed", "95 % "):
        words = words.replace(together, together.replace(" ", "\u00a0"))
    return escape(words)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


# --- the sections ------------------------------------------------------------------------------------------------


def _sections(report: Report, numbered: Callable[[], str]) -> list[tuple[str, str, str]]:
    """[(identity, title, content)], those that have something to say."""
    builders: list[tuple[str, str, Callable[[Section], str]]] = [
        ("comparison", "Comparison", lambda section: _comparison(section, report, numbered)),
        ("over-data-sets", "Over the data sets", lambda section: _overall(section, report, numbered)),
        ("learning-curves", "Learning curves", lambda section: _curves(section, report, numbered)),
        ("reward-and-kl", "Reward and KL", lambda section: _policies(section, report, numbered)),
        ("tuning", "Tuning", lambda section: _tuning(section, report, numbered)),
        ("time-to-target", "Time to target", _times),
    ]
    found = []
    for identity, title, build in builders:
        contents = [(section, build(section)) for section in report.sections]
        several = len(report.sections) > 1
        content = "".join(
            (f"<h3>{escape(section.metric)}</h3>" if several else "") + words for section, words in contents if words
        )
        if content:
            found.append((identity, title, content))
    found.append(("runs", "All runs", _runs(report)))
    commands = "".join(
        table(section.commands, "Commands of the compared runs", header=1, formats={"command": _command})
        for section in report.sections
    )
    if commands:
        words = "What to type for the runs behind each row. A run that is already there is not repeated."
        found.append(("reproduce", "How to reproduce", f"<p>{words}</p>{commands}"))
    found.append(("environment", "Environment", _environment(report)))
    return found


def _comparison(section: Section, report: Report, numbered: Callable[[], str]) -> str:
    shown = _verdict_first(section.table, report.question.by)
    header = list(shown.columns).index(report.question.by)
    words = "".join(f"<p>{escape(line)}.</p>" for line in section.explanation[:1])
    shown_table = table(shown, f"Differences in {section.metric}", header=header, formats={"verdict": _badge})
    return words + _figures(section.differences, report, numbered) + shown_table


def _verdict_first(table: Table, by: str) -> Table:
    """The verdict beside the name, where no one has to scroll for it; settings where more than one was tried."""
    columns = [column for column in table.columns if column != "verdict"]
    columns.insert(columns.index(by) + 1, "verdict")
    places = [list(table.columns).index(column) for column in columns]
    settings = list(table.columns).index("settings")
    if all(row[settings] == 1 for row in table.rows):
        places.remove(settings)
    return Table([table.columns[i] for i in places], [[row[i] for i in places] for row in table.rows])


def _overall(section: Section, report: Report, numbered: Callable[[], str]) -> str:
    if section.overall is None:
        return ""
    words = (
        "<p>Interquartile mean: the mean of the middle half of all runs, with a 95&nbsp;% stratified bootstrap "
        "interval, which is too narrow for few seeds. Profile: how many of the runs score beyond each value; the band "
        "is a pointwise 95&nbsp;% bootstrap.</p>"
    )
    words += "".join(f"<p>{escape(_capital(note))}.</p>" for note in section.overall_notes)
    shown = table(section.overall, "Interquartile means over the data sets", header=0)
    return words + _legend(section.overall_charts, report) + _figures(section.overall_charts, report, numbered) + shown


def _curves(section: Section, report: Report, numbered: Callable[[], str]) -> str:
    charts = [chart for _, own in section.curves for chart in own]
    if not charts:
        return ""
    words = (
        "<p>Mean over the completed runs of each method with its 95&nbsp;% t interval at each step. Training losses of "
        "different methods have different units: compare their shapes, not their heights. A band that leaves the frame "
        "is wider than shown"
        + (
            "; ✕ ends a curve whose runs all diverged"
            if any(c.diverged for chart in charts for c in chart.curves)
            else ""
        )
        + ".</p>"
    )
    return words + _legend(charts, report) + _figures(charts, report, numbered)


def _tuning(section: Section, report: Report, numbered: Callable[[], str]) -> str:
    if not section.tuning:
        return ""
    words = (
        "<p>Expected best validation score of k settings drawn from those tried, with a 95&nbsp;% bootstrap band; a "
        "setting that diverged counts as the worst score seen. Read it up to about half of the settings.</p>"
    )
    return words + _legend(section.tuning, report) + _figures(section.tuning, report, numbered)


def _policies(section: Section, report: Report, numbered: Callable[[], str]) -> str:
    if not section.policies:
        return ""
    words = (
        "<p>What a policy gains against its KL to the reference, a point for each completed run: gains are only "
        "comparable at the same KL"
        + (
            ". Grey: the most that any policy of that KL can have, exact at the KL of every run, at 0, where the "
            "reference is, and at the KLs that the runs record, and straight in between, where the truth is a little "
            "higher; a line for each seed, which has a reference of its own"
            if any(chart.limits for chart in section.policies)
            else ""
        )
        + ".</p>"
    )
    header = 1 if section.policy_table.columns[0] == "dataset" else 0
    shown = table(section.policy_table, "Means of these runs", header=header)
    return words + _legend(section.policies, report) + _figures(section.policies, report, numbered) + shown


def _times(section: Section) -> str:
    if not section.times.rows:
        return ""
    selection = f"validation/{section.metric.rsplit('/', 1)[-1]}"
    words = (
        f"<p>Steps until a run reaches the last {escape(selection)} of the baseline's run with the same seed. The "
        "median counts a run that never reaches it as infinitely late; no median: half of the runs or more did not.</p>"
    )
    header = 1 if section.times.columns[0] == "dataset" else 0
    return words + table(section.times, "Steps to the baseline's last validation score", header=header)


def _runs(report: Report) -> str:
    words = ""
    if report.unfinished:
        listed = "".join(f"<li><code>{escape(folder)}</code></li>" for folder in report.unfinished)
        words = f"<details><summary>{len(report.unfinished)} begun and not ended</summary><ul>{listed}</ul></details>"
    shown = table(report.runs, "Every run, those that did not complete first", header=0,
                  formats={"status": _status, "command": _command, "error": _error})  # fmt: skip
    return words + shown


def _environment(report: Report) -> str:
    words = "".join(f"<p>{escape(_capital(note))}.</p>" for note in report.notes)
    return words + table(report.environment, "Versions and hardware of the runs", header=0)


def _status(status: str) -> str:
    return f'<span class="status-{escape(status)}">{escape(status.replace("_", " "))}</span>'


def _command(command: str) -> str:
    return f'<code class="command">{escape(command)}</code>'


def _error(error: str) -> str:
    return f'<span class="error">{escape(error)}</span>'


# --- figures and tables ------------------------------------------------------------------------------------------


def _figures(charts: Sequence[Chart], report: Report, numbered: Callable[[], str]) -> str:
    drawn = []
    for chart in charts:
        identity = numbered()
        if isinstance(chart, IntervalChart):
            svg = interval_chart(chart, identity)
        elif isinstance(chart, ScatterChart):
            svg = scatter_chart(chart, report.styles, identity)
        else:
            svg = line_chart(chart, report.styles, identity)
        scale = " (logarithmic)" if getattr(chart, "logarithmic", False) else ""
        drawn.append(f"<figure><figcaption>{escape(chart.title)}{scale}</figcaption>{svg}</figure>\n")
    return f'<div class="figures">{"".join(drawn)}</div>' if drawn else ""


def _legend(charts: Sequence[Chart], report: Report) -> str:
    """Of the methods that have a line, or points, in these charts."""
    names = {curve.name for chart in charts if isinstance(chart, LineChart) for curve in chart.curves}
    names |= {group.name for chart in charts if isinstance(chart, ScatterChart) for group in chart.groups}
    sample = dot if any(isinstance(chart, ScatterChart) for chart in charts) else swatch
    shown = sorted((name for name in names if report.styles[name] != FADED), key=report.styles.__getitem__)
    items = [f"<li>{sample(report.styles[name])}{escape(name)}</li>" for name in shown]
    faded = len(names) - len(shown)
    if faded:
        items.append(f"<li>{swatch(FADED)}{faded} others, without band; their names show under the pointer</li>")
    return f'<ul class="legend" aria-label="Legend">{"".join(items)}</ul>' if items else ""


def table(shown: Table, caption: str, *, header: int, formats: dict[str, Callable[[str], str]] | None = None) -> str:
    """An HTML table in a container of its own that scrolls. ``header``: the column that names the row; ``formats``:
    how the text of a column becomes HTML, where it is not just escaped."""
    formats = formats or {}
    columns = range(len(shown.columns))
    numeric = [is_numeric(shown, i) for i in columns]
    body = [number_texts([row[i] for row in shown.rows], missing="") for i in columns]
    longest = [max((len(text) for text in column), default=0) for column in body]
    kinds = ["number" if numeric[i] else "long" if longest[i] > LONG else "" for i in columns]
    classes = [f" class={kind}" if kind else "" for kind in kinds]
    head = "".join(f'<th scope="col"{classes[i]}>{escape(name)}</th>' for i, name in enumerate(shown.columns))
    rows = []
    for number, row in enumerate(shown.rows):
        cells = []
        for i in columns:
            text = body[i][number]
            content = formats.get(shown.columns[i], escape)(text) if text else ""
            value = row[i]
            # The shown number is rounded: sorting takes the number itself.
            exact = isinstance(value, float) and math.isfinite(value) and text not in (repr(value), f"{value:g}")
            attributes = classes[i] + (f' data-value="{value:.9g}"' if exact else "")
            tag, scope = ("th", ' scope="row"') if i == header else ("td", "")
            cells.append(f"<{tag}{scope}{attributes}>{content}</{tag}>")
        rows.append(f"<tr>{''.join(cells)}</tr>\n")
    return (
        f'<div class="table" role="region" aria-label="{escape(caption)}" tabindex="0">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>\n{''.join(rows)}</tbody></table></div>\n"
    )
