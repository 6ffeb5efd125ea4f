"""Finished calls, for review: queries, what the pages show of a record, and the protocol of the store behind it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from overlay.errors import OverlayError
from overlay.identity import Identity

Level = Literal["calm", "tense", "escalated", "recovering"]


def _plain(typed: object) -> object:
    """Without spaces around it, and without control characters other than line breaks and tabs."""
    if not isinstance(typed, str):
        return typed
    return "".join(each for each in typed if each in "\n\t" or unicodedata.category(each) != "Cc").strip()


TYPED = BeforeValidator(_plain)
"""Of a text that somebody types for others to read."""
Text = Annotated[str, Field(min_length=1, max_length=2000), TYPED]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Filters(_Part):
    """What the review page searches for; empty means any. Query parameters of GET /api/records."""

    words: str = Field("", max_length=200, pattern=r"^[^\x00]*$", description="free text over transcripts")
    level: Literal["", "calm", "tense", "escalated", "recovering"] = Field("", description="level reached")
    days: int = Field(0, ge=0, le=3650, description="calls of the last so many days; 0: all")
    since: Literal[""] | date = Field("", description="calls that began on this day or later, such as 2026-11-24")
    until: Literal[""] | date = Field("", description="calls that began on this day or earlier")
    agent: str = Field("", max_length=120)
    team: str = Field("", max_length=120)
    signal: str = Field("", max_length=60, description="signal id")
    outcome: str = Field("", max_length=120)
    root_cause: str = Field("", max_length=120, description="a part of it, whoever has said it")
    marks: Literal["", "unreviewed", "reviewed", "wrong", "contested"] = ""
    order: Literal["newest", "worst"] = "newest"
    after: str = Field("", max_length=400, pattern=r"^(\d \S+ \S.*)?$", description="`next` of the page before")
    limit: int = Field(50, ge=1, le=200)


class RecordSummary(_Part):
    """One line of the review page's list."""

    id: str
    title: str = Field(description="what the call was about where somebody has said it, else agent and time")
    agent: str
    team: str = ""
    started_at: str = Field(description="ISO 8601 with offset")
    duration_ms: int
    level_reached: Level
    outcome: str = ""
    root_cause: str = ""
    ended: str = ""
    signals: int = 0
    prompts: int = 0
    wrong: int = Field(0, description="signals and prompts marked wrong, in review or by the agent in the call")
    reviewed: bool = Field(False, description="somebody other than its agent has said something about the call")
    contested: bool = False


class Found(_Part):
    """What GET /api/records answers: a page of the calls that fit; what is new meanwhile moves none of the others."""

    records: list[RecordSummary]
    total: int | None = Field(description="calls that fit, on all pages; not counted again for a further page")
    next: str = Field("", description="`after` of the next page; empty: this is the last one")


class Mark(_Part):
    """A reviewer's verdict on a signal (its key) or a prompt (its id)."""

    kind: Literal["signal", "prompt"]
    target: Annotated[str, Field(min_length=1, max_length=200)]
    verdict: Literal["right", "wrong", "clear"] = Field(description="clear takes the mark away")


class Marking(Mark):
    """A verdict as it is sent."""

    was: Literal["", "right", "wrong"] | None = Field(
        None, description="the verdict on the sender's screen: refused (marked-since) where somebody has changed it"
    )


class RecordNote(_Part):
    """Something a reviewer or the agent adds to a finished call."""

    kind: Literal["comment", "missed", "contest", "outcome", "root-cause"]
    text: Text
    at_ms: int | None = Field(
        None, ge=0, le=86_400_000, description="the place in the call it belongs to; missed: where"
    )
    signal: str = Field("", max_length=60, description="missed: the id of the signal that should have been there")


class Question(_Part):
    """One question of the form that reviewers fill in. People answer it; nothing is answered or added up by itself."""

    id: Annotated[str, Field(min_length=1, max_length=60)]
    text: Annotated[str, Field(min_length=1, max_length=200)]
    answers: list[Annotated[str, Field(min_length=1, max_length=40)]] = Field(
        default=["yes", "partly", "no", "does not apply"], min_length=2, max_length=8
    )


class Answer(_Part):
    """A reviewer's answer to a question of the form; the newest one counts, an empty one takes it back."""

    question: Annotated[str, Field(min_length=1, max_length=60)]
    answer: str = Field(max_length=40)
    who: str = Field("", description="filled in by the server")
    at: str = Field("", description="ISO 8601, filled in by the server")


class Recording(_Part):
    """The sound that was kept of a call: GET /api/records/<id>/sound."""

    duration_ms: int
    kept_until: str = Field("", description="ISO 8601 date on which it is erased; empty where that is not set")
    peaks: dict[str, list[float]] = Field(
        default={}, description="speaker -> loudness 0..1 over the whole call, evenly spaced, at most 1000 values"
    )


class TrendsQuery(_Part):
    """Query parameters of GET /api/trends."""

    weeks: int = Field(12, ge=1, le=104)
    team: str = Field("", max_length=120)


class ReportQuery(_Part):
    """Query parameters of GET /report."""

    since: Literal[""] | date = Field("", description="first day; default: twelve weeks before the last")
    until: Literal[""] | date = Field("", description="last day; default: today")
    team: str = Field("", max_length=120)


class Week(_Part):
    """What one week's calls came to. Counts of calls unless said otherwise."""

    starts: str = Field(description="ISO 8601 date of its Monday")
    calls: int = 0
    tense: int = Field(0, description="reached tense and no more")
    escalated: int = Field(0, description="reached escalated")
    turned: int = Field(0, description="escalated, and no longer escalated or tense at the end")
    within_60: int = Field(0, description="escalated, and the 60-second clock was met: a remedy accepted, or calmer")
    prompts: int = Field(0, description="prompts shown")
    used: int = Field(0, description="prompts marked used or acted on")
    wrong: int = Field(0, description="prompts marked wrong, by the agent or in review")


class Trends(_Part):
    """The last weeks, oldest first, and what the escalated calls of that time were about. Never about a person."""

    weeks: list[Week]
    root_causes: list[tuple[str, int]] = Field(default=[], description="most frequent first, at most ten")
    signals: list[tuple[str, int]] = Field(default=[], description="signal id, calls it was heard in; at most twelve")


class ViewName(_Part):
    """The name of a saved search."""

    name: Annotated[str, Field(min_length=1, max_length=60), TYPED]


class SavedView(ViewName):
    """A search somebody has saved for themselves."""

    filters: Filters


class RecordView(_Part):
    """One record as the review page draws it: GET /api/records/<id>."""

    id: str
    record: dict[str, Any] = Field(description="the incident record, JSON")
    marks: list[Mark] = []
    seen_by: list[tuple[str, str]] = Field(default=[], description="(who, ISO 8601 time)")
    notes: list[tuple[str, str, str, int | None]] = Field(default=[], description="(who, kind, text, ms) by reviewers")
    questions: list[Question] = Field(default=[], description="the form of this site")
    answers: list[Answer] = Field(default=[], description="the newest answer to each question")
    recording: Recording | None = Field(None, description="None where no sound was kept")


@dataclass(frozen=True, slots=True)
class PlayableSound:
    """A recording that a player reads in parts."""

    media_type: str
    size: int
    """Bytes."""
    read: Callable[[int, int], bytes]
    """(first byte, end (exclusive)) -> these bytes. Runs in a thread; OSError if the file was erased meanwhile."""


def unknown_record() -> OverlayError:
    """The error for a record that does not exist, and for one of somebody else's call: the same, so that nobody learns
    of others' calls by asking.
    """
    return OverlayError(
        "record-unknown",
        "There is no such record: it was erased, is not yours, or never existed. Choose one from the list.",
    )


class Records(Protocol):
    """Finished calls, for review. Methods raise `unknown_record()` where there is no record of that id."""

    async def search(self, who: Identity, filters: Filters) -> Found:
        """The records that fit, at most `filters.limit` of them, from `filters.after` on."""
        ...

    async def get(self, who: Identity, record: str) -> RecordView:
        """One record in full; the look is logged."""
        ...

    async def mark(self, who: Identity, record: str, mark: Marking) -> int:
        """Store a verdict on a signal or prompt; returns `RecordSummary.wrong` as it is then. Codes target-unknown and
        marked-since.
        """
        ...

    async def note(self, who: Identity, record: str, note: RecordNote) -> None:
        """A comment, a missed signal, a contest, the outcome or root cause; codes signal-unknown and time-unknown."""
        ...

    async def answer(self, who: Identity, record: str, answer: Answer) -> None:
        """An answer to a question of the form."""
        ...

    async def sound(self, who: Identity, record: str) -> PlayableSound:
        """The kept sound; code sound-missing where none was kept or it has been erased."""
        ...

    async def trends(self, who: Identity, asked: TrendsQuery) -> Trends:
        """What the last weeks came to."""
        ...

    async def report(self, who: Identity, asked: ReportQuery) -> str:
        """The prevention report as one self-contained HTML page."""
        ...

    async def html(self, who: Identity, record: str) -> str:
        """The record as one self-contained HTML page; the export is logged."""
        ...

    async def export(self, who: Identity, record: str) -> dict[str, Any]:
        """The incident record as JSON; the export is logged."""
        ...

    async def agent_of(self, record: str) -> str:
        """Whose call it was; logs no look."""
        ...

    async def views(self, who: Identity) -> list[SavedView]:
        """The searches this person has saved, by name."""
        ...

    async def save_view(self, who: Identity, view: SavedView) -> None:
        """Save a search; one of the same name is replaced. Code too-many beyond what one person may save."""
        ...

    async def delete_view(self, who: Identity, name: str) -> None:
        """Forget a saved search; code view-unknown."""
        ...
