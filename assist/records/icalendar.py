"""Open follow-ups as an iCalendar file (RFC 5545). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime


def to_icalendar(followups: Sequence[tuple[str, str, str, date]], stamp: str) -> str:
    """The file's text: a to-do for each follow-up.

    Args:
        followups: (unique id, what, owner, due) of each; due is a day, or a moment with its offset from UTC.
        stamp: when it was made, as 20261124T101500Z.
    """
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//call-assist//follow-ups//EN"]
    for uid, what, owner, due in followups:
        lines += [
            "BEGIN:VTODO",
            f"UID:{uid}@call-assist",
            f"DTSTAMP:{stamp}",
            f"DUE:{due.astimezone(UTC):%Y%m%dT%H%M%SZ}"
            if isinstance(due, datetime)
            else f"DUE;VALUE=DATE:{due:%Y%m%d}",
            f"SUMMARY:{_escaped(what)} ({_escaped(owner)})",
            "STATUS:NEEDS-ACTION",
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
