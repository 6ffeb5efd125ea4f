"""What an evaluation found, as a table for the terminal (rich) and as one self-contained HTML page with SVG plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from rich import box
from rich.table import Table

from assist.evaluation.figures import Evaluation, Figure, Grid, LevelFigures, LevelTimeline, SignalFigures, iter_notes
from assist.evaluation.levels import MAX_LATE_S
from assist.records.sheet import html_page, table

_ROW = 26
_LEFT = 180
_WIDE = 420
_EXAMPLES = 60
_NARROW: dict[str, Any] = {"box": box.SIMPLE_HEAD, "pad_edge": False}
_STYLE = """
:root{--a:#1f5fbf;--b:#b3541e}@media (prefers-color-scheme:dark){:root{--a:#7fb0ff;--b:#f0a070}}
body{max-width:74rem}h2{font-size:1.25rem}h3{font-size:1.05rem}table{margin:1rem 0}
th,td{padding:.3rem .6rem}.wide th.n{white-space:normal}small{color:var(--second)}
svg{max-width:100%;height:auto}svg text{fill:var(--ink);font:13px system-ui,sans-serif}svg .second{fill:var(--second)}
.a{stroke:var(--a);fill:var(--a)}.b{stroke:var(--b);fill:var(--b)}.grid{stroke:var(--line)}
.mark{stroke:var(--ink);stroke-width:2}
.l-calm{fill:#b9c7d6}.l-tense{fill:#e2b13c}.l-escalated{fill:#c4452f}.l-recovering{fill:#5d9ac7}
"""


def _counts(evaluation: Evaluation) -> Table:
    """How often each signal was found and missed, as narrow as a terminal of 80 columns."""
    timed = evaluation.hours is not None
    out = Table(title=f"{evaluation.source}: {_extent(evaluation)}", title_justify="left", **_NARROW, padding=0)
    out.add_column("signal", overflow="fold")
    rates = ["false /h", "delay s\np50 / p95"] if timed else ["false /10k words"]
    for name in ("labelled", "hits", "false", "missed", *rates):
        out.add_column(name, justify="right", overflow="fold")
    for row in evaluation.signals:
        cells = _cells(row, timed)
        out.add_row(*cells[:5], *(cells[9:] if timed else cells[8:]))
    return out


def _shares(evaluation: Evaluation) -> Table:
    """Precision, recall and F1 of the labelled signals."""
    out = Table(**_NARROW)
    out.add_column("signal", overflow="fold")
    for name in ("precision", "recall", "F1"):
        out.add_column(name, justify="right", overflow="fold")
    for row in evaluation.signals:
        if row.labelled:
            cells = _cells(row, False)
            out.add_row(cells[0], *cells[5:8])
    return out


def level_table(level: LevelFigures) -> Table:
    """The figures of the escalation level for the terminal."""
    out = Table(title="Escalation level", title_justify="left", show_header=False)
    out.add_column("what", overflow="fold")
    out.add_column("figure", justify="right", overflow="fold")
    for name, value in _level_rows(level):
        out.add_row(name, value)
    return out


def tables(evaluation: Evaluation) -> list[Table]:
    """Everything for the terminal."""
    level = [] if evaluation.level is None else [level_table(evaluation.level)]
    shares = [_shares(evaluation)] if any(row.labelled for row in evaluation.signals) else []
    return [*map(_grid, evaluation.grids), _counts(evaluation), *shares, *level]


def _grid(grid: Grid) -> Table:
    out = Table(*grid.head)
    for row in grid.rows:
        out.add_row(*row)
    return out


def page(evaluations: Sequence[Evaluation], title: str = "How good the signals are") -> str:
    """One HTML page without outside assets; everything that was read is escaped."""
    sections = "".join(_section(each) for each in evaluations)
    how = (
        "95 % intervals: Wilson for precision and recall, Goutte and Gaussier for F1, Poisson (Byar) for rates. "
        "A delay in a call is the time from the end of the words that a signal stands on until it is raised."
    )
    return html_page(title, f"<h1>{escape(title)}</h1>{sections}<p class=second>{how}</p>", style=_STYLE)


def _section(evaluation: Evaluation) -> str:
    parts = [f"<section><h2>{escape(evaluation.source)}</h2>", f"<p>{_extent(evaluation)}.</p>"]
    if evaluation.level is not None:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td class=n>{escape(value)}</td></tr>"
            for name, value in _level_rows(evaluation.level)
        )
        parts.append(f"<h3>Escalation level</h3><table>{rows}</table>")
        parts.append(_strips(evaluation.timelines))
    parts += [f"<div class=wide>{table(grid.head, grid.rows, figures=True)}</div>" for grid in evaluation.grids]
    timed = evaluation.hours is not None
    heads = ["labelled", "hits", "false", "missed", "precision", "recall", "F1", "false per 10,000 words"]
    heads += ["false per hour", "delay in s, median / p95"] if timed else []
    parts.append(
        "<h3>Signals</h3><div class=wide><table><tr><th>signal</th>"
        + "".join(f"<th class=n>{h}</th>" for h in heads)
        + "</tr>"
    )
    for row in evaluation.signals:
        name, *cells = _cells(row, timed)
        numbers = "".join(f"<td class=n>{_in_two(cell)}</td>" for cell in cells)
        parts.append(f"<tr><th>{escape(name)}</th>{numbers}</tr>")
    parts.append("</table></div>")
    parts.append(_whiskers(evaluation.signals))
    parts.append(_bars(evaluation.signals, timed))
    parts += [f"<p class=second>{escape(note)}</p>" for note in iter_notes(evaluation)]
    parts.append(_examples(evaluation))
    parts.append("</section>")
    return "".join(parts)


def _extent(evaluation: Evaluation) -> str:
    units = {
        "calls": f"{len(evaluation.timelines):,} calls, {evaluation.units:,} turns",
        "audio": f"{evaluation.units:,} clips",
        "voices": f"{evaluation.units:,} clips",
    }
    words = "" if evaluation.kind == "voices" else f", {evaluation.words:,} words"
    hours = "" if evaluation.hours is None else f", {evaluation.hours:.2f} hours"
    left_out = f", {evaluation.left_out:,} left out" if evaluation.left_out else ""
    return f"{units.get(evaluation.kind, f'{evaluation.units:,} utterances')}{words}{hours}{left_out}"


def _cells(row: SignalFigures, timed: bool) -> list[str]:
    cells = [row.id, f"{row.labelled:,}", f"{row.hits:,}", f"{row.false:,}", f"{row.missed:,}"]
    cells += [_share(row.precision), _share(row.recall), _share(row.f1), _rate(row.false_per_10k_words)]
    if timed:
        delay = "–" if row.delay_median_s is None else f"{row.delay_median_s:.1f} / {row.delay_p95_s or 0:.1f}"
        cells += [_rate(row.false_per_hour), delay]
    return cells


def _in_two(cell: str) -> str:
    """A figure with its interval below it, so that all columns fit on a page."""
    value, begins, interval = cell.partition(" [")
    return f"{escape(value)}<br><small>[{escape(interval)}</small>" if begins else escape(value)


def _level_rows(level: LevelFigures) -> list[tuple[str, str]]:
    delay = "–" if level.delay_median_s is None else f"{level.delay_median_s:.1f} / {level.delay_p95_s or 0:.1f}"
    early = "–" if level.early_median_s is None else f"{level.early_median_s:.0f} / {level.early_most_s or 0:.0f}"
    missed = level.escalating_calls - level.noticed
    rose = f"... whose level rose within {MAX_LATE_S:.0f} s / early / later or never"
    return [
        ("calm calls (calm hours, with those before the first cue)", f"{level.calm_calls} ({level.calm_hours:.2f} h)"),
        ("false escalations per calm hour", f"{_rate(level.false_escalations_per_hour)} ({level.false_escalations})"),
        ("false prompts per calm hour", f"{_rate(level.false_prompts_per_hour)} ({level.false_prompts})"),
        *((f"... on {cause}", f"{count}") for cause, count in level.false_prompt_causes),
        ("changes to tense in calm time", f"{level.false_tense}"),
        ("escalating calls", f"{level.escalating_calls}"),
        (rose, f"{level.noticed - level.early} / {level.early} / {missed}"),
        ("... how early in s, median / most", early),
        ("... to escalated", f"{level.escalated}"),
        ("... and came down again", f"{level.recovered}"),
        ("first cue to level change in s, median / p95", delay),
        ("... over 5 s", f"{level.late}"),
    ]


def _share(figure: Figure | None) -> str:
    if figure is None or math.isnan(figure.value):
        return "–"
    return f"{figure.value:.3f} [{figure.low:.2f}–{figure.high:.2f}]"


def _rate(figure: Figure | None) -> str:
    if figure is None or math.isnan(figure.value):
        return "–"
    return f"{figure.value:.2f} [{figure.low:.2f}–{figure.high:.2f}]"


def _whiskers(rows: Sequence[SignalFigures]) -> str:
    """Precision (blue, round) and recall (orange, square) of each labelled signal with their intervals."""
    shown = [row for row in rows if row.recall is not None]
    if not shown:
        return ""
    parts = [_axis(len(shown), [0, 0.25, 0.5, 0.75, 1.0], 1.0, "")]
    for number, row in enumerate(shown):
        y = 24 + number * _ROW
        parts.append(f'<text x="0" y="{y + 9}">{escape(row.id)}</text>')
        if row.precision is not None:
            parts.append(_interval(row.precision, y, "a", f"{row.id}: precision {_share(row.precision)}"))
        if row.recall is not None:
            parts.append(_interval(row.recall, y + 9, "b", f"{row.id}: recall {_share(row.recall)}"))
    legend = (
        '<p><svg width="12" height="12" aria-hidden="true"><circle class="a" cx="6" cy="6" r="4"/></svg> precision '
        '<svg width="12" height="12" aria-hidden="true"><rect class="b" x="2" y="2" width="8" height="8"/></svg> recall'
        "</p>"
    )
    return legend + _svg(len(shown), "".join(parts), "Precision and recall per signal with 95 % intervals")


def _bars(rows: Sequence[SignalFigures], timed: bool) -> str:
    """False alarms per hour, or per 10,000 words where there are no times, with their intervals."""
    per = "per hour" if timed else "per 10,000 words"
    rates = [(row, row.false_per_hour if timed else row.false_per_10k_words) for row in rows]
    shown = [(row.id, rate) for row, rate in rates if row.false and rate is not None and not math.isnan(rate.value)]
    if not shown:
        return ""
    most = max(figure.high for _, figure in shown) or 1.0
    ticks = [most * part for part in (0, 0.25, 0.5, 0.75, 1.0)]
    parts = [_axis(len(shown), ticks, most, "")]
    for number, (name, figure) in enumerate(shown):
        y = 28 + number * _ROW
        scaled = Figure(figure.value / most, figure.low / most, figure.high / most)
        parts.append(f'<text x="0" y="{y + 5}">{escape(name)}</text>')
        parts.append(_interval(scaled, y, "b", f"{name}: {_rate(figure)} false alarms {per}"))
    plot = _svg(len(shown), "".join(parts), f"False alarms {per} with 95 % intervals")
    return f"<h3>False alarms {per}</h3>{plot}"


def _strips(timelines: Sequence[LevelTimeline]) -> str:
    """One strip per call: its level over time, with a mark at the labelled moment."""
    if not timelines:
        return ""
    longest = max(timeline.length_s for timeline in timelines) or 1.0
    parts = [_axis(len(timelines), [longest * part for part in (0, 0.25, 0.5, 0.75, 1.0)], longest, " s")]
    for number, timeline in enumerate(timelines):
        y = 20 + number * _ROW
        parts.append(f'<text x="0" y="{y + 12}">{escape(timeline.call[:22])}</text>')
        steps = [(0.0, "calm"), *timeline.levels]
        ends = [at for at, _ in steps[1:]] + [timeline.length_s]
        for (at, level), until in zip(steps, ends, strict=True):
            x, wide = _LEFT + _WIDE * at / longest, _WIDE * max(until - at, 0.0) / longest
            tip = f"{timeline.call}: {level} from {at:.1f} s"
            band = f'<rect class="l-{escape(level)}" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="15"/>'
            parts.append(f"<g><title>{escape(tip)}</title>{band}</g>")
        if timeline.escalates_at is not None:
            x = _LEFT + _WIDE * timeline.escalates_at / longest
            parts.append(f'<path class="mark" d="M{x:.1f} {y - 3} v21"/>')
    plot = _svg(len(timelines), "".join(parts), "Level of each call over time")
    names = ("calm", "tense", "escalated", "recovering")
    legend = " ".join(
        f'<svg width="14" height="12" aria-hidden="true"><rect class="l-{n}" width="12" height="12"/></svg> {n}'
        for n in names
    )
    return f"<p>{legend}; the line marks the labelled first cue.</p>{plot}"


def _interval(figure: Figure, y: float, kind: str, tip: str) -> str:
    low, value, high = (_LEFT + _WIDE * min(max(v, 0.0), 1.0) for v in (figure.low, figure.value, figure.high))
    mark = (
        f'<circle class="a" cx="{value:.1f}" cy="{y}" r="4"/>'
        if kind == "a"
        else f'<rect class="b" x="{value - 3.5:.1f}" y="{y - 3.5}" width="7" height="7"/>'
    )
    line = f'<line class="{kind}" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke-width="1.5"/>'
    return f"<g><title>{escape(tip)}</title>{line}{mark}</g>"


def _axis(rows: int, ticks: Sequence[float], most: float, unit: str) -> str:
    parts = []
    for tick in ticks:
        x = _LEFT + _WIDE * tick / most
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="14" y2="{24 + rows * _ROW}"/>')
        parts.append(f'<text class="second" x="{x:.1f}" y="10" text-anchor="middle">{tick:.3g}{unit}</text>')
    return "".join(parts)


def _svg(rows: int, inside: str, label: str) -> str:
    high = 30 + rows * _ROW
    wide = _LEFT + _WIDE + 30
    return (
        f'<svg viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" role="img" aria-label="{escape(label)}">'
        f"{inside}</svg>"
    )


def _examples(evaluation: Evaluation) -> str:
    if not evaluation.examples:
        return ""
    shown = evaluation.examples[:_EXAMPLES]
    rows = "".join(
        f"<tr><td>{escape(each.what)}</td><td>{escape(each.signal)}</td><td>{escape(each.text)}"
        f"<br><small>{escape(each.because)} {escape(each.place)}</small></td></tr>"
        for each in shown
    )
    left = len(evaluation.examples) - len(shown)
    more = f"<p class=second>... and {left} more.</p>" if left else ""
    return (
        f"<details><summary>What went wrong ({len(evaluation.examples)})</summary>"
        f"<table><tr><th>what</th><th>signal</th><th>text</th></tr>{rows}</table>{more}</details>"
    )
