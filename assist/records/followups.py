"""Open follow-ups (promises) of all finished calls, as a list and as a calendar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from assist.coach.due import due_day
from assist.errors import AssistError
from assist.files import check_file, write_file
from assist.records.icalendar import to_icalendar
from assist.store.rows import Review, latest_texts, stamp
from assist.store.searching import RecordQuery
from assist.store.store import Store


@dataclass(frozen=True, slots=True)
class OpenFollowUp:
    """One promise that nobody has marked done."""

    call: str
    id: str
    what: str
    due: str
    """As it was said."""
    day: date | None
    """The day `due` means, counted from the day of the call; None: it names none."""
    owner: str
    at: datetime | None = None
    """The time, where an hour was named."""

    @property
    def name(self) -> str:
        """How `mark_follow_ups` names it: CALL/ID."""
        return f"{self.call}/{self.id}"


def is_open(promise: Mapping[str, Any], last: Mapping[tuple[str, str], str]) -> bool:
    """Whether a follow-up is open: by the newest review (`last` is from `latest_texts`), else as the record says."""
    said = last.get(("follow-up", promise["id"]))
    return said == "open" if said else not promise.get("done", False)


def open_followups(store: Store) -> list[OpenFollowUp]:
    """All open follow-ups, the earliest day first."""
    found = []
    said = store.reviews_by_call()
    for digest in store.digests(RecordQuery(limit=None)):
        last = latest_texts(said.get(digest["call"], ()))
        said_on = datetime.fromisoformat(digest["started_at"]).date()
        for each in digest["follow_ups"]:
            if not is_open(each, last):
                continue
            corrected = last.get(("due", each["id"]), "")
            due = corrected or each.get("day", "")
            day = _parse_day(due) if due else due_day(each["due"], said_on)
            moment = "" if corrected else each.get("at", "")
            at = datetime.fromisoformat(moment) if moment else None
            found.append(OpenFollowUp(digest["call"], each["id"], each["what"], each["due"], day, each["owner"], at))
    return sorted(found, key=lambda each: (each.day or date.max, each.at is None, str(each.at), each.call))


def _parse_day(day: str) -> date | None:
    """A stored day; None if invalid, such as 30 February, which earlier versions stored."""
    try:
        return date.fromisoformat(day)
    except ValueError:
        return None


def mark_follow_ups(store: Store, who: str, *, done: Sequence[str] = (), reopened: Sequence[str] = ()) -> None:
    """Mark follow-ups (`OpenFollowUp.name`) done, or open again; stored as reviews of the call.

    Raises:
        AssistError: code followup-unknown, before anything is marked.
    """
    found_ids = []
    for name, said in [*((name, "done") for name in done), *((name, "open") for name in reopened)]:
        call, _, identifier = name.rpartition("/")
        record = store.record(call) if call else None
        if record is None or all(each["id"] != identifier for each in record.get("follow_ups", ())):
            raise AssistError(
                "followup-unknown", f"no follow-up {name!r}: expected CALL/ID as `assist followups` lists them"
            )
        found_ids.append((call, identifier, said))
    at = stamp()
    for call, identifier, said in found_ids:
        store.review(call, Review(at, who, "follow-up", identifier, said)).result()


def check_calendar_file(out: Path | None) -> None:
    """Whether `write_calendar` can write this file (None: none).

    Raises:
        AssistError: code export-failed.
    """
    check_file(out, "BEGIN:VCALENDAR")


def write_calendar(followups: list[OpenFollowUp], out: Path) -> None:
    """Those with a day or a moment, as an iCalendar file.

    Raises:
        AssistError: code export-failed.
    """
    dated = [(f"{f.call}-{f.id}", f.what, f.owner, f.at or f.day) for f in followups if f.day is not None]
    check_calendar_file(out)
    write_file(out, to_icalendar(dated, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"))
