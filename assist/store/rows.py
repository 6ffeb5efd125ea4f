"""Rows about a call besides its log and its record: its state, reviews, gate and hold. Plain types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


def stamp(at: datetime | None = None) -> str:
    """A time with its zone (None: now) as rows have it: ISO 8601, UTC, to the second."""
    return (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call and its state: live, ended or interrupted."""

    call: str
    state: str
    started_at: str
    agent: str


@dataclass(frozen=True, slots=True)
class Review:
    """What somebody said about a finished call, or the note that somebody looked at it."""

    at: str
    who: str
    kind: str
    target: str = ""
    text: str = ""
    at_ms: int | None = None


VERDICT_KINDS = ("signal", "prompt")
"""Kinds whose text is a verdict: right, wrong, or clear (taken back)."""
NON_REVIEW_KINDS = ("looked", "follow-up", "due")
"""Kinds that say nothing about the call itself: that somebody looked, or what has become of a promise."""


def latest_texts(reviews: Iterable[Review]) -> dict[tuple[str, str], str]:
    """(kind, target) -> text of the latest review, of reviews from oldest to newest."""
    return {(review.kind, review.target): review.text for review in reviews}


def verdicts(prompts: Iterable[Mapping[str, Any]], reviews: Iterable[Review]) -> dict[tuple[str, str], str]:
    """(kind, target) -> right or wrong: the latest verdict of a review, unless it is `clear`.

    A prompt without one is wrong where the agent marked it wrong in the call. `RecordQuery.wrong`
    (assist/store/searching.py) asks the same of the database.
    """
    by_agent = {("prompt", each["id"]): "wrong" for each in prompts if each.get("how") == "wrong"}
    last = latest_texts(review for review in reviews if review.kind in VERDICT_KINDS)
    return by_agent | {place: verdict for place, verdict in last.items() if verdict != "clear"}


@dataclass(frozen=True, slots=True)
class StoredGate:
    """What may be transcribed and stored of a call."""

    policy: str
    consent: str
    by: str
    paused_ms: int | None = None
    """Call time of the current pause; None while listening."""
    paused_by: str = ""
    at: str = ""
    """ISO 8601."""
    ended: bool = False
    """Whether the call ended as calls do, with nothing else kept of it: an interrupted one can be resumed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold: the call must not be erased."""

    call: str
    by: str
    why: str
    at: str
    """ISO 8601."""
