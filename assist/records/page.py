"""The incident record as one HTML page: readable, printable, self-contained, every word escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from assist.records.record import IncidentRecord

STYLE = """
:root{color-scheme:light dark;--ink:#16202b;--second:#51606f;--line:#dfe3e8;--ground:#fff;--mark:#ffe08a}
@media (prefers-color-scheme:dark){:root{--ink:#edf1f5;--second:#b3bfca;--line:#2b3642;--ground:#182029;--mark:#5a4300}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:60rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}p{margin:.3rem 0}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--second)}.second{color:var(--second)}td.t{white-space:nowrap;font-variant-numeric:tabular-nums}
mark{background:none;color:inherit;border-bottom:3px solid #d99a00}
@media print{body{margin:0;max-width:none;color:#000;background:#fff}h2{break-after:avoid}tr{break-inside:avoid}}
"""


def clock(ms: int) -> str:
    """Call time as mm:ss (h:mm:ss from an hour on)."""
    seconds = ms // 1000
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60:02d}:{rest % 60:02d}"


def label(identifier: str) -> str:
    """A signal id for people: "influence_claim" -> "Influence claim"."""
    return identifier.replace("_", " ").capitalize()


def page(record: IncidentRecord) -> str:
    """The whole page."""
    title = f"Call {record.call} · {record.agent}"
    head = f"<h1>{escape(title)}</h1>" + _lines(
        f"{record.started_at} · {clock(record.duration_ms)} · {record.team or 'no team'}"
        f" · caller {record.caller or '–'}",
        f"Level reached: {record.level_reached} · at the end: {record.level_at_end} · outcome: {record.outcome}"
        f" · ended: {record.ended}",
    )
    parts = [
        head,
        _recovery(record),
        _table(
            "What was heard",
            ("At", "Signal", "Why", "Rule"),
            [
                (clock(s.at_ms), label(s.id), f"“{s.quote}”" if s.quote else s.summary, f"{s.rule} v{s.version}")
                for s in record.signals
            ],
        ),
        _table(
            "Level",
            ("At", "Level", "Score"),
            [(clock(step.at_ms), step.level, f"{step.score:.0f}") for step in record.levels],
        ),
        _table(
            "Prompts",
            ("At", "Prompt", "Line", "What was done"),
            [
                (clock(p.shown_ms), p.title, f"“{p.say}”", p.how + (f": “{p.words}”" if p.words else ""))
                for p in record.prompts
            ],
        ),
        _table(
            "Plan B",
            ("At", "Option", "Worth", "Answer"),
            [
                (
                    clock(p.offered_ms if p.offered_ms is not None else p.shown_ms),
                    p.title,
                    p.worth,
                    p.answer or ("offered" if p.offered_ms is not None else "on screen, not offered"),
                )
                for p in record.plan
            ],
        ),
        _table(
            "Steps done",
            ("At", "Step", "By"),
            [(clock(s.at_ms), label(s.step), f"“{s.words}”" if s.words else s.by) for s in record.steps],
        ),
        _table(
            "Follow-ups",
            ("What", "Due", "Owner", ""),
            [(f.what, f.due, f.owner, "done" if f.done else "open") for f in record.follow_ups],
        ),
        _table(
            "Notes",
            ("At", "Who", "Note"),
            [(clock(n.at_ms), n.who, n.text) for n in record.notes]
            + ([("", record.agent, f"Contested: {record.contested}")] if record.contested else []),
        ),
        _table(
            "Trouble",
            ("At", "What", ""),
            [(clock(t.at_ms), t.text, "over" if t.cleared else "") for t in record.troubles],
        ),
        _transcript(record),
        "<h2>Versions</h2>" + _lines(" · ".join(f"{key} {value}" for key, value in record.versions.items())),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _recovery(record: IncidentRecord) -> str:
    lines = []
    for run in record.recovery:
        took = f"{run.took_ms / 1000:.0f} s" if run.took_ms else "no end heard"
        lines.append(
            f"Recovery from {clock(run.started_ms)}: {run.result or 'open'}, {took} (goal {run.limit_ms // 1000} s)"
        )
    return _lines(*lines)


def _transcript(record: IncidentRecord) -> str:
    marked: dict[str, set[int]] = {}
    caused: dict[str, list[str]] = {}
    for signal in record.signals:
        if signal.utterance:
            marked.setdefault(signal.utterance, set()).update(range(signal.first_word, signal.last_word + 1))
            caused.setdefault(signal.utterance, []).append(label(signal.id))
    rows = []
    for line in record.transcript:
        words = [
            f"<mark>{escape(word[0])}</mark>" if i in marked.get(line.id, ()) else escape(word[0])
            for i, word in enumerate(line.words)
        ]
        who = record.agent if line.speaker == "agent" else "Caller" if line.speaker == "customer" else "Voice"
        rows.append(
            f'<tr><td class="t">{clock(line.start_ms)}</td><td>{escape(who)}</td><td>{" ".join(words)}</td>'
            f'<td class="second">{escape(", ".join(dict.fromkeys(caused.get(line.id, []))))}</td></tr>'
        )
    return f"<h2>Transcript</h2><table>{''.join(rows)}</table>"


def _lines(*lines: str) -> str:
    return "".join(f'<p class="second">{escape(line)}</p>' for line in lines if line)


def _table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td{' class=t' if i == 0 else ''}>{escape(c)}</td>" for i, c in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<h2>{escape(title)}</h2><table><tr>{cells}</tr>{body}</table>"
