"""What is kept of a call besides its log and its record, one row each. Plain types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


def stamp(at: datetime | None = None) -> str:
    """A time (with its zone; None: now) as rows keep it: ISO 8601, UTC, to the second."""
    return (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class StoredCall:
    """One line of the list of calls."""

    call: str
    state: str
    started_at: str
    agent: str


@dataclass(frozen=True, slots=True)
class Review:
    """Something said about a finished call, or the note that somebody looked at it."""

    at: str
    who: str
    kind: str
    target: str = ""
    text: str = ""
    at_ms: int | None = None


VERDICTS = ("signal", "prompt")
"""Kinds of review that are a verdict: right, wrong, or clear (taken back)."""
NO_REVIEW = ("looked", "follow-up", "due")
"""Kinds that say nothing about the call itself: that somebody looked, and what has become of a promise."""


def last_said(reviews: Iterable[Review]) -> dict[tuple[str, str], str]:
    """(kind, target) -> what was said last; of reviews in the order in which they were written."""
    return {(review.kind, review.target): review.text for review in reviews}


def verdicts(prompts: Iterable[Mapping[str, Any]], reviews: Iterable[Review]) -> dict[tuple[str, str], str]:
    """(kind, target) -> right or wrong, as it stands: what was said last in review (`clear`: nothing); a prompt of the
    record on which no such verdict stands is wrong where the agent marked it so in the call.

    `RecordQuery.wrong` (assist/store/searching.py) asks the same of the database.
    """
    by_agent = {("prompt", each["id"]): "wrong" for each in prompts if each.get("how") == "wrong"}
    last = last_said(review for review in reviews if review.kind in VERDICTS)
    return by_agent | {place: verdict for place, verdict in last.items() if verdict != "clear"}


@dataclass(frozen=True, slots=True)
class StoredGate:
    """What may be heard and kept of a call, as it was last latched."""

    policy: str
    consent: str
    by: str
    paused_ms: int | None = None
    """Call time of the pause that holds; None while listening."""
    paused_by: str = ""
    at: str = ""
    """ISO 8601."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A call that must not be erased."""

    call: str
    by: str
    why: str
    at: str
    """ISO 8601."""
