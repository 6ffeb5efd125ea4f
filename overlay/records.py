"""Finished calls, for review: what is asked of them, what is drawn, and the protocol behind which they are kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from overlay.identity import Identity

Level = Literal["calm", "tense", "escalated", "recovering"]
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Filters(_Part):
    """What the review page searches for; empty means any. Query parameters of GET /api/records."""

    words: str = Field("", max_length=200, description="free text over transcripts")
    level: Literal["", "calm", "tense", "escalated", "recovering"] = Field("", description="level reached")
    days: int = Field(0, ge=0, le=3650, description="calls of the last so many days; 0: all")
    agent: str = Field("", max_length=120)
    team: str = Field("", max_length=120)
    signal: str = Field("", max_length=60, description="signal id")
    outcome: str = Field("", max_length=120)
    marks: Literal["", "unreviewed", "reviewed", "wrong", "contested"] = ""
    order: Literal["newest", "worst"] = "newest"
    offset: int = Field(0, ge=0)
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
    ended: str = ""
    signals: int = 0
    prompts: int = 0
    wrong: int = 0
    reviewed: bool = False
    contested: bool = False


class Mark(_Part):
    """A reviewer's verdict on a signal (its key) or a prompt (its id)."""

    kind: Literal["signal", "prompt"]
    target: Annotated[str, Field(min_length=1, max_length=200)]
    verdict: Literal["right", "wrong", "clear"] = Field(description="clear takes the mark away")


class RecordNote(_Part):
    """Something a reviewer or the agent adds to a finished call."""

    kind: Literal["comment", "missed", "contest", "outcome", "root-cause"]
    text: Text
    at_ms: int | None = Field(None, ge=0, description="the place in the call it belongs to; missed: where")


class RecordView(_Part):
    """One record as the review page draws it: GET /api/records/<id>."""

    id: str
    record: dict[str, Any] = Field(description="the incident record, JSON")
    marks: list[Mark] = []
    seen_by: list[tuple[str, str]] = Field(default=[], description="(who, ISO 8601 time)")
    notes: list[tuple[str, str, str, int | None]] = Field(default=[], description="(who, kind, text, ms) by reviewers")


class Records(Protocol):
    """Finished calls, for review. An OverlayError with code record-unknown where there is none of that id."""

    async def search(self, who: Identity, filters: Filters) -> list[RecordSummary]:
        """The records that fit, at most `filters.limit` from `filters.offset`."""
        ...

    async def get(self, who: Identity, record: str) -> RecordView:
        """One record in full; that `who` has looked at it is kept."""
        ...

    async def mark(self, who: Identity, record: str, mark: Mark) -> None:
        """A verdict on a signal or prompt."""
        ...

    async def note(self, who: Identity, record: str, note: RecordNote) -> None:
        """A comment, a missed signal, a contest, the outcome or root cause."""
        ...

    async def html(self, who: Identity, record: str) -> str:
        """The record as one self-contained HTML page."""
        ...
