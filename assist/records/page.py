"""The incident record as one HTML page: readable, printable, self-contained, every word escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from assist.records.record import Alert, IncidentRecord, LevelStep, PlanUse, PromptUse
from assist.records.sheet import html_page, section
from assist.wording import amount, clock, label

STYLE = """
:root{--mark:#ffe08a}@media (prefers-color-scheme:dark){:root{--mark:#5a4300}}
body{overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem;margin:1rem 0;padding:.7rem 1rem;
background:var(--soft);border-radius:8px}dt{color:var(--second)}dd{margin:0}
.flag{padding:.4rem .8rem;border-left:4px solid #d99a00;background:var(--soft)}
mark{background:none;color:inherit;border-bottom:3px solid #d99a00}
.small{font-size:.87rem}
"""
ACTION_TEXTS = {
    "alert-seen": "saw the alert",
    "claim": "claimed the call",
    "resolve": "closed the alert",
    "release": "gave it back",
    "released": "left, and it went back to the others",
    "raised-again": "it was raised again",
    "turn": "was asked",
    "everyone": "everybody was asked",
    "queued": "nobody was free",
    "calmed": "the call calmed down by itself",
    "expired": "nobody answered in time",
    "allowed": "allowed it",
    "denied": "refused it",
    "watch": "began to read along",
    "unwatch": "stopped reading along",
    "message": "wrote to the agent",
    "plan-answered": "answered the request",
    "help": "asked for a supervisor",
    "pause": "paused listening",
    "resume": "resumed listening",
    "hang-up": "hung up",
}
"""`what` of actions and alert steps, in words."""


def page(record: IncidentRecord) -> str:
    """The whole page."""
    title = f"Call {record.call} · {record.agent}"
    parts = (
        _head(title, record),
        _facts(record),
        _signals_and_levels(record),
        _prompts_and_options(record),
        _follow_ups(record),
        _actions_and_notes(record),
        _transcript(record),
        "<h2>How this record was made</h2>" + _provenance(record),
    )
    return html_page(title, "".join(parts), style=STYLE)


def _head(title: str, record: IncidentRecord) -> str:
    contested = f"Contested by {escape(record.agent)}: {escape(record.contested)}"
    return (
        f"<h1>{escape(title)}</h1>"
        + _lines(
            f"{record.started_at} · {clock(record.duration_ms)} · {record.team or 'no team'}"
            f" · caller {record.caller or '–'} · ended: {record.ended}"
        )
        + (f'<p class="flag">{contested}</p>' if record.contested else "")
    )


def _facts(record: IncidentRecord) -> str:
    given = ", ".join(use.title for use in record.plan if use.answer == "accepted")
    facts = [
        ("Outcome", record.outcome),
        ("Root cause", record.root_cause or "not said"),
        ("Level", f"reached {record.level_reached}, {record.level_at_end} at the end"),
        ("Recovery", _recovery(record)),
        ("Given", given or "nothing"),
        ("Wrapped up", f"by {record.wrap_up.who}, {record.wrap_up.at}" if record.wrap_up else "not yet"),
    ]
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in facts if text)}</dl>"


def _signals_and_levels(record: IncidentRecord) -> str:
    """The signals, and the level over the call."""
    heard = [
        (clock(s.at_ms), label(s.id), f"“{s.quote}”" if s.quote else s.summary, f"{s.rule} v{s.version}")
        for s in record.signals
    ]
    return (
        section("What was heard", ("At", "Signal", "Why", "Rule"), heard)
        + _levels("Level", record, record.levels)
        + _levels("Level with the words that were transcribed after the call", record, record.levels_late)
    )


def _levels(title: str, record: IncidentRecord, levels: Sequence[LevelStep]) -> str:
    rows = [(clock(s.at_ms), label(s.level), f"{s.score:.0f}", _signal_labels(record, s.because)) for s in levels]
    return section(title, ("At", "Level", "Score", "Because of"), rows)


def _prompts_and_options(record: IncidentRecord) -> str:
    """Prompts, Plan B options and steps, with what the agent did."""
    prompts = [(clock(p.shown_ms), p.title, f"“{p.say}”", _prompt_ending(p)) for p in record.prompts]
    plan = [
        (
            clock(p.offered_ms if p.offered_ms is not None else p.shown_ms),
            p.title,
            p.worth,
            _whose(p),
            _option_result(p),
        )
        for p in record.plan
    ]
    steps = [(clock(s.at_ms), label(s.step), f"“{s.words}”" if s.words else f"by {s.by}") for s in record.steps]
    return (
        section("Prompts", ("At", "Prompt", "Line", "What was done"), prompts)
        + section("Plan B", ("At", "Option", "Worth", "Whose", "What came of it"), plan)
        + section("Steps done", ("At", "Step", "By"), steps)
    )


def _follow_ups(record: IncidentRecord) -> str:
    """Follow-ups and hand-offs."""
    promised = [
        (f.what, f.due + (f" ({f.day})" if f.day else ""), f.owner, "done" if f.done else "open")
        for f in record.follow_ups
    ]
    said_before = [(clock(at_ms), f"“{text}”", h.to) for h in record.hand_offs for at_ms, text in h.said]
    return section("Follow-ups", ("What", "Due", "Owner", ""), promised) + section(
        "What the customer had said when somebody took over", ("At", "Words", "To"), said_before
    )


def _actions_and_notes(record: IncidentRecord) -> str:
    """Alerts, actions, notes and marks of people, and troubles."""
    alerts = [(clock(a.at_ms), a.reason, _alert_history(a) or "nobody claimed it") for a in record.alerts]
    did = [
        (clock(d.at_ms), f"{d.who} ({d.role})", ACTION_TEXTS.get(d.what, d.what) + (f": {d.text}" if d.text else ""))
        for d in record.actions
    ]
    notes = [(clock(n.at_ms), n.who, n.text) for n in record.notes]
    marks = [(f"{mark.kind} {mark.target}", mark.verdict, f"{mark.who}, {mark.at[:10]}") for mark in record.marks]
    missed = [
        ("" if m.at_ms is None else clock(m.at_ms), label(m.signal) if m.signal else "", m.text, m.who)
        for m in record.missed
    ]
    troubles = [(clock(t.at_ms), t.text, "over" if t.cleared else "") for t in record.troubles]
    return (
        section("Alerts to supervisors", ("At", "Reason", "What became of it"), alerts)
        + section("What people did", ("At", "Who", "What"), did)
        + section("Notes", ("At", "Who", "Note"), notes)
        + section("Marks of reviewers", ("On", "Mark", "Who"), marks)
        + section("What was missed, as reviewers say", ("At", "Signal", "What", "Who"), missed)
        + section("Trouble", ("At", "What", ""), troubles)
    )


def _alert_history(alert: Alert) -> str:
    return ", ".join(f"{clock(ms)} {who} {ACTION_TEXTS.get(what, what)}" for ms, what, who in alert.course)


def _signal_labels(record: IncidentRecord, keys: Sequence[str]) -> str:
    ids = {signal.key: signal.id for signal in record.signals}
    return ", ".join(dict.fromkeys(label(ids[key]) for key in keys if key in ids))


def _prompt_ending(prompt: PromptUse) -> str:
    read = "seen" if prompt.seen_ms is not None else "not seen"
    words = f": “{prompt.words}”" if prompt.words else ""
    return f"{read}, {prompt.how or 'open when no more was kept'}{words}"


def _whose(use: PlanUse) -> str:
    if use.asked_ms is not None or use.permission:
        return f"asked{f', {use.permission}' if use.permission else ''}"
    return "the agent's" if use.authority == "yours" else "to be asked for"


def _option_result(use: PlanUse) -> str:
    if use.answer == "accepted":
        after = "the call did not calm down after it" if use.calmed_after_ms is None else "the call was calmer already"
        if use.calmed_after_ms:
            took_s = round(use.calmed_after_ms / 1000)
            after = f"calmer {took_s} s later" if took_s else "calmer with it"
        return f"accepted (cost {amount(use.cost)}); {after}"
    return use.answer or ("offered, no answer noted" if use.offered_ms is not None else "on screen, not offered")


def _provenance(record: IncidentRecord) -> str:
    masked = ", ".join(f"{count} × {kind}" for kind, count in record.redactions.items())
    pauses = ", ".join(_stretch(each.from_ms, each.to_ms) for each in record.pauses)
    heard = ", ".join(f"{what.replace('.', ' ')} {clock(ms)}" for what, ms in record.accounted_ms.items())
    unkept = ", ".join(_stretch(each.from_ms, each.to_ms) for each in record.unkept)
    seal = f"{record.seal.events} events, sha256 {record.seal.sha256}" if record.seal else ""
    return (
        '<div class="small">'
        + _lines(
            " · ".join(f"{key} {value}" for key, value in record.versions.items()),
            f"Masked before it was kept: {masked or 'nothing'}",
            f"Not kept, for want of consent: {unkept}" if unkept else "",
            f"Paused, nothing heard or kept: {pauses}" if pauses else "",
            f"Time of each channel: {heard}" if heard else "",
            f"Transcribed after the call, nobody was prompted: {_late_ranges(record)}"
            if record.transcribed_late
            else "",
            f"Sound that never came: {record.gaps_ms / 1000:.1f} s" if record.gaps_ms else "",
            f"Event log: {seal}" if seal else "",
            f"Schema {record.schema_version}",
        )
        + "</div>"
    )


def _stretch(from_ms: int, to_ms: int | None) -> str:
    if to_ms is None:
        return f"{clock(from_ms)} to the end"
    return f"{clock(from_ms)} to {clock(to_ms)}" if from_ms else f"the first {clock(to_ms)}"


def _late_ranges(record: IncidentRecord) -> str:
    ranges = [
        f"{each.speaker} {clock(each.start_ms)} to {clock(each.end_ms)}, {-(-each.after_s // 60)} min after its end"
        for each in record.transcribed_late
    ]
    return "; ".join(ranges)


def _recovery(record: IncidentRecord) -> str:
    lines = []
    for run in record.recovery:
        by = "a remedy accepted after " if run.by == "remedy" else ""
        never = {"missed": ", never in this call", "": ", no end heard"}.get(run.result, "")
        took = never if run.took_ms is None else f", {by}{run.took_ms / 1000:.0f} s"
        goal = run.limit_ms / 1000
        lines.append(f"from {clock(run.started_ms)}: {run.result or 'not ended'}{took} (goal {goal:.0f} s)")
    return "; ".join(lines)


def _transcript(record: IncidentRecord) -> str:
    marked: dict[str, set[int]] = {}
    caused: dict[str, list[str]] = {}
    for signal in record.signals:
        if signal.utterance:
            marked.setdefault(signal.utterance, set()).update(range(signal.first_word, signal.last_word + 1))
            caused.setdefault(signal.utterance, []).append(label(signal.id))
    late = {(each.speaker, each.start_ms, each.end_ms) for each in record.transcribed_late}
    rows = []
    for line in record.transcript:
        words = [
            f"<mark>{escape(word[0])}</mark>" if i in marked.get(line.id, ()) else escape(word[0])
            for i, word in enumerate(line.words)
        ]
        notes = [
            *(["transcribed after the call"] if (line.speaker, line.start_ms, line.end_ms) in late else []),
            *caused.get(line.id, []),
        ]
        who = record.agent if line.speaker == "agent" else "Caller" if line.speaker == "customer" else "Voice"
        rows.append(
            f'<tr><td class="t">{clock(line.start_ms)}</td><td>{escape(who)}</td><td>{" ".join(words)}</td>'
            f'<td class="second">{escape(", ".join(dict.fromkeys(notes)))}</td></tr>'
        )
    if not rows:
        heard = any(ms and what.endswith((".speech", ".transcribed-late")) for what, ms in record.accounted_ms.items())
        return "<h2>Transcript</h2>" + _lines(
            "The words of this call are not kept." if heard else "No words were recognised."
        )
    return f"<h2>Transcript</h2><table>{''.join(rows)}</table>"


def _lines(*lines: str) -> str:
    return "".join(f'<p class="second">{escape(line)}</p>' for line in lines if line)
