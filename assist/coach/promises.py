"""Promises heard in the agent's words become follow-ups with a due time as said; open ones export as iCalendar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from audio.events import Speaker, Utterance

_WHEN = (
    r"(?:(?:by |on |before |this |next )?(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
    r"|(?:by )?(?:tomorrow|tonight|today|end of (?:the )?(?:day|week))|(?:by )?next week"
    r"|(?:within|in) (?:the next )?(?:\w+ )?(?:an? )?(?:minutes?|hours?|days?|weeks?))"
)
_HOUR = (
    r"(?: (?:morning|afternoon|evening))?"
    r"(?: (?:at|by|before|after|between) [\w' ]{2,24}?(?= (?:to|and i|so|if|would|okay|is|does|for)\b|[.,?]|$))?"
)
_PROMISE = re.compile(
    r"\b(?:i(?:'ll| will| am going to|'m going to)|we(?:'ll| will)|(?:our|an|the) (?:engineer|technician|team|manager|"
    r"supervisor) will)\s+(?:\w+\s+){0,3}?"
    r"(?P<what>(?:call|ring|phone|e-?mail|text|write to|send|get back to|come|visit|contact|follow up|update|refund|"
    r"credit|have|make sure|check)\b[^.?]*?)\s*(?P<when>" + _WHEN + _HOUR + r")",
    re.IGNORECASE,
)
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


@dataclass(frozen=True, slots=True)
class Promise:
    """What was promised, with the words it stands on."""

    what: str
    due: str
    words: str


def promises(utterance: Utterance) -> list[Promise]:
    """Promises with a time in an agent's utterance; a customer's words and questions promise nothing."""
    if utterance.speaker is not Speaker.AGENT:
        return []
    found = []
    for sentence in re.split(r"(?<=[.?!])\s+", utterance.text):
        if sentence.rstrip().endswith("?") or re.match(
            r"(?i)\s*(?:shall|should|would|can|may|could) (?:i|we)\b", sentence
        ):
            continue
        for match in _PROMISE.finditer(sentence):
            what = re.sub(r"\s+", " ", match["what"]).strip(" ,")
            found.append(Promise(what, re.sub(r"\s+", " ", match["when"]).strip(" ,"), match[0].strip()))
    return found


def due_date(due: str, said_on: date) -> date | None:
    """The day a due time means, counted from the day it was said; None where it names no day."""
    text = due.casefold()
    if "today" in text or "tonight" in text or "end of the day" in text or "hour" in text or "minute" in text:
        return said_on
    if "tomorrow" in text:
        return said_on + timedelta(days=1)
    for number, name in enumerate(_DAYS):
        if name in text:
            ahead = (number - said_on.weekday()) % 7 or 7
            return said_on + timedelta(days=ahead)
    if "end of the week" in text or "end of week" in text:
        return said_on + timedelta(days=(4 - said_on.weekday()) % 7)
    if "week" in text:
        return said_on + timedelta(days=7)
    return None


def to_icalendar(followups: Sequence[tuple[str, str, str, date]], stamp: str) -> str:
    """Open follow-ups as an iCalendar file (RFC 5545): all-day to-dos.

    Args:
        followups: (unique id, what, owner, due day) of each.
        stamp: when it was made, as 20261124T101500Z.
    """
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//call-assist//follow-ups//EN"]
    for uid, what, owner, due in followups:
        lines += [
            "BEGIN:VTODO",
            f"UID:{uid}@call-assist",
            f"DTSTAMP:{stamp}",
            f"DUE;VALUE=DATE:{due:%Y%m%d}",
            f"SUMMARY:{_escaped(what)} ({_escaped(owner)})",
            "END:VTODO",
        ]
    return "".join(folded + "\r\n" for line in [*lines, "END:VCALENDAR"] for folded in _folded(line))


def _escaped(text: str) -> str:
    return re.sub(r"([\\;,])", r"\\\1", text).replace("\n", "\\n")


def _folded(line: str) -> list[str]:
    """RFC 5545, 3.1: at most 75 octets a line; further ones begin with a space."""
    parts, rest = [], line
    while len(rest.encode()) > 73:
        cut = 73
        while len(rest[:cut].encode()) > 73:
            cut -= 1
        parts.append(rest[:cut])
        rest = " " + rest[cut:]
    return [*parts, rest]
