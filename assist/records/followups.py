"""Open promises over all finished calls: a fold over their records, as a list and as a calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from assist.coach.promises import due_date, to_icalendar
from assist.errors import AssistError
from assist.records.record import FollowUp, IncidentRecord
from assist.records.wrapup import completed
from assist.store.store import RecordQuery, Store


@dataclass(frozen=True, slots=True)
class OpenFollowUp:
    """One promise that nobody has marked done."""

    call: str
    id: str
    what: str
    due: str
    """As it was said."""
    day: date | None
    """The day that means, counted from the day of the call."""
    owner: str


def open_followups(store: Store) -> list[OpenFollowUp]:
    """All open follow-ups, the earliest day first."""
    found = []
    for body in store.records(RecordQuery(limit=100_000)):
        record = IncidentRecord.model_validate(body)
        record = completed(record, store.reviews(record.call))
        said_on = datetime.fromisoformat(record.started_at).date()
        found += [
            OpenFollowUp(record.call, each.id, each.what, each.due, _day(each, said_on), each.owner)
            for each in record.follow_ups
            if not each.done
        ]
    return sorted(found, key=lambda each: (each.day or date.max, each.call))


def _day(promise: FollowUp, said_on: date) -> date | None:
    return date.fromisoformat(promise.day) if promise.day else due_date(promise.due, said_on)


def write_calendar(followups: list[OpenFollowUp], out: Path) -> None:
    """Those with a day, as an iCalendar file.

    Raises:
        AssistError: code export-failed.
    """
    dated = [(f"{f.call}-{f.id}", f.what, f.owner, f.day) for f in followups if f.day is not None]
    try:
        out.write_bytes(to_icalendar(dated, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}").encode())
    except OSError as error:
        raise AssistError("export-failed", f"cannot write {out}: {error.strerror}") from None
