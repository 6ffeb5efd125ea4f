"""The prevention report for people: tables in the terminal, and one HTML page with drawn plots and no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from assist.records.report import MIN_AGENTS, OptionTally, PlayTally, Report, StepTally, Tally
from assist.records.sheet import html_page, table
from assist.wording import amount, label

_WIDE, _HIGH, _LEFT, _ROW = 720, 190, 210, 24
_LEVELS = (("escalated", "Escalated"), ("tense", "Tense, no more"), ("calm", "Calm"))
_NOTES = (
    "Calls are counted, never people. Teams are shown from five agents up; smaller ones are pooled or left out.",
    "The clock is met when a remedy is accepted, or the call is calmer, within 60 seconds of escalating.",
    "Calmed: of the accepted options, those after which the call came down; calls that were calmer already left out.",
    "What stands beside each other need not be cause and effect: a step may be left out because a call went well.",
)
STYLE = """
:root{--escalated:#c4452f;--tense:#e2b13c;--calm:#b9c7d6;--accent:#1c5fa8}
@media (prefers-color-scheme:dark){:root{--escalated:#e06b57;--tense:#d9ab3f;--calm:#51667a;--accent:#8fbdf3}}
body{max-width:66rem}h2{font-size:1.1rem;margin:2rem 0 .4rem}
.facts{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0;padding:0;list-style:none}
.facts li{padding:.6rem 1rem;background:var(--soft);border-radius:8px}.facts b{display:block;font-size:1.35rem}
svg{display:block;max-width:100%;height:auto;margin:.4rem 0}svg text{fill:var(--second);font:12px system-ui,sans-serif}
svg .ink{fill:var(--ink)}.escalated{fill:var(--escalated)}.tense{fill:var(--tense)}.calm{fill:var(--calm)}
.rate{fill:none;stroke:var(--accent);stroke-width:2}.dot{fill:var(--accent)}.grid{stroke:var(--line)}
"""


def share(part: int, whole: int) -> str:
    """A share in percent, 0 and 100 only for none and all; a dash where there is nothing to share."""
    if not whole:
        return "–"
    percent = round(100 * part / whole)
    return f"{min(max(percent, 1), 99) if 0 < part < whole else percent} %"


def _span(report: Report) -> str:
    first = report.since.isoformat() if report.since else next(iter(report.weeks), report.until.isoformat())
    return f"{first} to {report.until.isoformat()}" + (f", team {report.team}" if report.team else "")


def _facts(report: Report) -> list[tuple[str, str]]:
    total = report.total
    return [
        ("calls", str(total.calls)),
        ("escalated", f"{total.escalated} ({share(total.escalated, total.calls)})"),
        ("calmer again at the end", share(total.turned, total.escalated)),
        ("clock met (remedy accepted or calmer within 60 s)", share(total.within_60, total.escalated)),
        ("cost of what was given", amount(total.cost)),
        ("open promises", str(report.open_follow_ups)),
    ]


LONGEST_DATE = len("2026-11-30")
Rows = list[tuple[str, ...]]
CAUSES = "Root causes of tense and escalated calls"
TALLY = ("Calls", "Tense", "Escalated", "Calmer again", "Clock met", "Given", "Cost")
"""Columns of a table of tallies, after the first."""


def _tally(name: str, tally: Tally) -> tuple[str, ...]:
    return (
        name,
        str(tally.calls),
        str(tally.tense),
        str(tally.escalated),
        share(tally.turned, tally.escalated),
        share(tally.within_60, tally.escalated),
        str(tally.given),
        amount(tally.cost),
    )


def _tallies(tallies: Mapping[str, Tally]) -> Rows:
    return [_tally(name or "no team", tally) for name, tally in tallies.items()]


def _option(each: OptionTally) -> tuple[str, ...]:
    after = "–" if each.median_s is None else f"{each.median_s:g} s"
    calmed = share(each.calmed, each.accepted - each.calmer_already)
    return each.title, str(each.shown), str(each.offered), str(each.accepted), calmed, after, amount(each.cost)


def _play(each: PlayTally) -> tuple[str, ...]:
    return each.title, str(each.shown), share(each.done, each.shown), share(each.wrong, each.shown)


def _step(each: StepTally) -> tuple[str, ...]:
    return label(each.id), str(each.done), share(each.turned_with, each.done), share(each.turned_without, each.left)


def parts(report: Report) -> list[tuple[str, tuple[str, ...], Rows]]:
    """Title, head and rows of each table, for terminal and page alike; empty ones are left out."""
    signals: Rows = [
        (label(name), str(calls), str(escalated), share(escalated, calls))
        for name, (calls, escalated) in report.signals.items()
    ]
    every: list[tuple[str, tuple[str, ...], Rows]] = [
        (CAUSES, ("Root cause", *TALLY), _tallies(report.causes)),
        ("Signs that were heard", ("Signal", "Calls", "Escalated", "Share"), signals),
        (
            "Plan B: what was given and what came of it",
            ("Option", "On screen", "Offered", "Accepted", "Calmed", "After (median)", "Cost"),
            [_option(each) for each in report.options],
        ),
        (
            "Steps in escalated calls",
            ("Step", "Done", "Calmer again with it", "without it"),
            [_step(each) for each in report.steps],
        ),
        (
            "Prompts",
            ("Prompt", "Shown", "Used or acted on", "Wrong"),
            [_play(each) for each in report.plays],
        ),
        ("Teams", ("Team", *TALLY), _tallies(report.teams)),
        ("Week by week", ("Week of", *TALLY), _tallies(report.weeks)),
    ]
    return [part for part in every if part[2]]


def tables(report: Report) -> list[RenderableType]:
    """Everything for the terminal."""
    facts = Text(" · ").join(Text.assemble((value, "bold"), f" {name}") for name, value in _facts(report))
    shown: list[RenderableType] = [Text.assemble(("Prevention report", "bold"), f" {_span(report)}"), facts]
    for title, head, rows in parts(report):
        table = Table(title=title, title_justify="left")
        for number, name in enumerate(head):
            if number:
                table.add_column(name, justify="right")
            else:
                table.add_column(name, overflow="fold", min_width=LONGEST_DATE)
        for row in rows:
            table.add_row(*row)
        shown.append(table)
    if report.left_out:
        shown.append(f"{report.left_out} team(s) of fewer than {MIN_AGENTS} agents are not shown")
    return shown


def page(report: Report) -> str:
    """The whole page; everything that was said or typed is escaped."""
    facts = "".join(f"<li><b>{escape(value)}</b>{escape(name)}</li>" for name, value in _facts(report))
    causes = [(name, tally.escalated, tally.tense) for name, tally in report.causes.items()]
    plots = {CAUSES: _bars(causes[:12])}
    sections = [f"<h2>Calls by week, and in how many of the escalated the clock was met</h2>{_columns(report.weeks)}"]
    for title, head, rows in parts(report):
        figures = table(head, rows, figures=True)
        sections.append(f"<h2>{escape(title)}</h2>{plots.get(title, '')}<div class=wide>{figures}</div>")
    if report.left_out:
        sections.append(
            f'<p class="second">{report.left_out} team(s) of fewer than {MIN_AGENTS} agents are not shown.</p>'
        )
    notes = "".join(f'<p class="second">{note}</p>' for note in _NOTES)
    body = (
        f"<h1>Prevention report</h1><p>{escape(_span(report))}</p>"
        f'<ul class="facts">{facts}</ul>{"".join(sections)}{notes}'
    )
    return html_page("Prevention report", body, style=STYLE)


def _columns(weeks: Mapping[str, Tally]) -> str:
    """A column per week, stacked by the level reached; a line for the share that met the clock, 0 to 100 %."""
    most = max((tally.calls for tally in weeks.values()), default=0) or 1
    step = (_WIDE - 60) / max(1, len(weeks))
    wide = min(46.0, step * 0.7)
    every = max(1, round(len(weeks) / 12))
    shapes = [f'<line class="grid" x1="30" x2="{_WIDE - 30}" y1="{_HIGH - 30}" y2="{_HIGH - 30}"/>']
    dots = []
    for n, (week, tally) in enumerate(weeks.items()):
        x, y = 30 + step * (n + 0.5), float(_HIGH - 30)
        calm = tally.calls - tally.tense - tally.escalated
        for (kind, _), count in zip(_LEVELS, (tally.escalated, tally.tense, calm), strict=True):
            high = count / most * (_HIGH - 50)
            y -= high
            shapes.append(
                f'<rect class="{kind}" x="{x - wide / 2:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"/>'
            )
        if tally.escalated:
            dots.append((x, _HIGH - 30 - tally.within_60 / tally.escalated * (_HIGH - 50)))
        if n % every == 0:
            shapes.append(f'<text x="{x:.1f}" y="{_HIGH - 12}" text-anchor="middle">{escape(week[5:])}</text>')
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
    shapes.append(f'<polyline class="rate" points="{line}"/>')
    shapes += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in dots]
    shapes.append(f'<text x="0" y="24">{most}</text><text x="{_WIDE}" y="14" text-anchor="end">100 %</text>')
    keys = "".join(
        f'<rect class="{kind}" x="{30 + 130 * n}" y="{_HIGH}" width="12" height="12"/>'
        f'<text x="{48 + 130 * n}" y="{_HIGH + 10}">{name}</text>'
        for n, (kind, name) in enumerate(_LEVELS)
    )
    keys += (
        f'<line class="rate" x1="420" x2="440" y1="{_HIGH + 6}" y2="{_HIGH + 6}"/>'
        f'<text x="446" y="{_HIGH + 10}">clock met, of the escalated</text>'
    )
    return _svg(_HIGH + 20, "Calls by week and level reached", "".join(shapes) + keys)


def _bars(rows: Sequence[tuple[str, int, int]]) -> str:
    """A bar per name: escalated, then tense calls."""
    most = max((first + second for _, first, second in rows), default=0) or 1
    shapes = []
    for n, (name, first, second) in enumerate(rows):
        y = n * _ROW
        scale = (_WIDE - _LEFT - 60) / most
        shapes.append(
            f'<text class="ink" x="{_LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(name[:34])}</text>'
            f'<rect class="escalated" x="{_LEFT}" y="{y + 4}" width="{first * scale:.1f}" height="{_ROW - 8}"/>'
            f'<rect class="tense" x="{_LEFT + first * scale:.1f}" y="{y + 4}" width="{second * scale:.1f}"'
            f' height="{_ROW - 8}"/>'
            f'<text x="{_LEFT + (first + second) * scale + 6:.1f}" y="{y + 16}">{first + second}</text>'
        )
    return _svg(max(1, len(rows)) * _ROW, "Root causes, escalated and tense calls", "".join(shapes))


def _svg(high: float, name: str, inside: str) -> str:
    return f'<svg role="img" aria-label="{escape(name)}" viewBox="0 0 {_WIDE} {high:g}" width="{_WIDE}">{inside}</svg>'
