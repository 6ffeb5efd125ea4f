"""Exports records from the store: one or many, as JSON, CSV (a row per call) or HTML pages."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from assist.errors import AssistError
from assist.files import PAGE_BEGINS, check_file, write_file
from assist.records.page import page
from assist.records.record import IncidentRecord, read_record
from assist.records.trends import USEFUL_ENDINGS
from assist.records.wrapup import with_reviews
from assist.store.searching import RecordQuery
from assist.store.store import Store

FORMATS = ("json", "csv", "html")
_BEGINS = {"json": ("{\n", "[\n"), "csv": ("call,",), "html": (PAGE_BEGINS,)}
"""How a file of each format begins."""


def parse_day(text: str, option: str) -> date | None:
    """A day given on the command line; None where it is empty.

    Raises:
        AssistError: code day-invalid.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise AssistError("day-invalid", f"{option} {text}: expected a day such as 2026-11-24") from None


def end_of_day(day: date | None) -> str:
    """A text that sorts after all times of a day (not the next day: there may be none); empty without a day."""
    return f"{day.isoformat()}T24:00" if day else ""


def records_between(since: date | None, until: date | None, team: str = "", limit: int | None = None) -> RecordQuery:
    """The query for calls that began on these days, both included.

    Raises:
        AssistError: code span-invalid.
    """
    if since and until and since > until:
        raise AssistError(
            "span-invalid",
            f"the first day {since} is after the last day {until}: give an earlier first or a later last one",
        )
    return RecordQuery(
        since=since.isoformat() if since else "",
        before=end_of_day(until),
        team=team,
        limit=limit,
    )


class Records(Protocol):
    """Records to be written, and how many."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[IncidentRecord]: ...


@dataclass(frozen=True, slots=True)
class StoredRecords:
    """Records in a store, each read when it is iterated over: ten thousand at once take 3 GB."""

    store: Store
    calls: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[IncidentRecord]:
        """With their reviews applied; without those that have been erased meanwhile."""
        for call in self.calls:
            body = self.store.record(call)
            if body is not None:
                yield with_reviews(read_record(body), self.store.reviews(call))


def select_records(store: Store, calls: Sequence[str], query: RecordQuery) -> StoredRecords:
    """The records of these calls; without calls, all that match the query.

    Raises:
        AssistError: code record-unknown.
    """
    for call in calls:
        if store.record(call) is None:
            raise AssistError("record-unknown", f"no record of call {call!r}; see `assist records list`")
    return StoredRecords(
        store, tuple(dict.fromkeys(calls) if calls else (each["call"] for each in store.digests(query)))
    )


def export(records: Records, out: Path, file_format: str) -> int:
    """Write records to one file, or one file each into a folder; returns the number of files.

    Raises:
        AssistError: codes export-format, export-failed.
    """
    chosen_format = file_format or out.suffix.removeprefix(".")
    folder = out.is_dir() or (not out.suffix and bool(file_format))
    if chosen_format not in FORMATS:
        expected = "expected a name that ends in .json, .csv or .html; for a folder, give --format as well"
        raise AssistError("export-format", f"--out {out}: {expected}")
    if not folder and chosen_format == "html" and len(records) != 1:
        raise AssistError("export-format", f"--out {out}: a page holds one record: name a folder and --format html")
    if not folder:
        check_file(out, *_BEGINS[chosen_format])
        write_file(out, serialised(records, chosen_format))
        return 1
    for record in records:
        write_file(out / f"{record.call}.{chosen_format}", serialised([record], chosen_format), make_folder=True)
    return len(records)


def serialised(records: Records, file_format: str) -> Iterator[str]:
    """The text of an export in parts: one record as a JSON object or a page, many as a JSON array, any as CSV."""
    if file_format == "csv":
        yield to_csv(records)
    elif file_format == "html":
        yield from map(page, records)
    elif len(records) == 1:
        yield from (f"{_as_json(record)}\n" for record in records)
    else:
        yield "["
        for number, record in enumerate(records):
            yield (",\n" if number else "\n") + _as_json(record)
        yield "\n]\n"


def _as_json(record: IncidentRecord) -> str:
    return json.dumps(record.model_dump(mode="json"), ensure_ascii=False, indent=2)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the CSV."""

    name: str
    meaning: str
    value: Callable[[IncidentRecord], str | int | float]


def _seconds(ms: int | None) -> float | str:
    return "" if ms is None else round(ms / 1000, 1)


def _recovery(record: IncidentRecord) -> tuple[str, float | str]:
    """Result and seconds of the first run of the 60-second clock that was met, else of the last."""
    if not record.recovery:
        return "", ""
    run = next((run for run in record.recovery if run.result == "met"), record.recovery[-1])
    return run.result or "no end heard", _seconds(run.took_ms)


COLUMNS: tuple[Column, ...] = (
    Column("call", "id of the call", lambda r: r.call),
    Column("started_at", "ISO 8601 with offset", lambda r: r.started_at),
    Column("agent", "who took the call", lambda r: r.agent),
    Column("team", "team of the agent", lambda r: r.team),
    Column("queue", "queue the call came from", lambda r: r.queue),
    Column("duration_s", "seconds", lambda r: _seconds(r.duration_ms)),
    Column("ended", "hang-up, end-of-recording, interrupted, failed", lambda r: r.ended),
    Column("level_reached", "calm, recovering, tense, escalated", lambda r: r.level_reached),
    Column("level_at_end", "as above", lambda r: r.level_at_end),
    Column("outcome", "as wrapped up or reviewed, else as heard", lambda r: r.outcome),
    Column("root_cause", "as wrapped up or reviewed", lambda r: r.root_cause),
    Column("contested", "why the agent contests the record; empty: not contested", lambda r: r.contested),
    Column(
        "signals",
        "ids of what was heard from the customer, each once",
        lambda r: " ".join(dict.fromkeys(s.id for s in r.signals if s.speaker != "agent")),
    ),
    Column("prompts", "prompts shown", lambda r: len(r.prompts)),
    Column(
        "prompts_seen", "of these, drawn on a visible page", lambda r: sum(p.seen_ms is not None for p in r.prompts)
    ),
    Column(
        "prompts_done", "of these, marked used or acted on", lambda r: sum(p.how in USEFUL_ENDINGS for p in r.prompts)
    ),
    Column("prompts_wrong", "of these, marked wrong by the agent", lambda r: sum(p.how == "wrong" for p in r.prompts)),
    Column("steps", "ids of the method's steps done", lambda r: " ".join(s.step for s in r.steps)),
    Column(
        "offered",
        "Plan B offered to the customer",
        lambda r: "; ".join(p.title for p in r.plan if p.offered_ms is not None),
    ),
    Column("accepted", "of these, accepted", lambda r: "; ".join(p.title for p in r.plan if p.answer == "accepted")),
    Column(
        "cost", "cost of what was accepted", lambda r: round(sum(p.cost for p in r.plan if p.answer == "accepted"), 2)
    ),
    Column("recovery", "60-second clock: met, missed, stopped; empty: never started", lambda r: _recovery(r)[0]),
    Column(
        "recovery_s",
        "seconds until a remedy was accepted or the level came down; empty: never",
        lambda r: _recovery(r)[1],
    ),
    Column("follow_ups_open", "promises not marked done", lambda r: sum(not f.done for f in r.follow_ups)),
    Column("alerts", "alerts to supervisors", lambda r: len(r.alerts)),
    Column("masked", "places masked in the transcript", lambda r: sum(r.redactions.values())),
    Column("troubles", "codes of troubles, each once", lambda r: " ".join(dict.fromkeys(t.code for t in r.troubles))),
    Column("playbook", "version of the playbook", lambda r: r.versions.get("playbook", "")),
    Column("rules", "version of the word rules", lambda r: r.versions.get("rules", "")),
    Column("sha256", "seal of the event log (assist records verify)", lambda r: r.seal.sha256 if r.seal else ""),
)


def to_csv(records: Iterable[IncidentRecord]) -> str:
    """One row per call, RFC 4180; text that a spreadsheet would run as a formula is escaped."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow([column.name for column in COLUMNS])
    for record in records:
        rows.writerow([_without_formula(column.value(record)) for column in COLUMNS])
    return out.getvalue()


FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def _without_formula(value: str | int | float) -> str | int | float:
    """A cell that begins with =, +, -, @ (also of full width), tab or return is a formula to a spreadsheet: an
    apostrophe makes it text.
    """
    if isinstance(value, str) and value.lstrip(" ")[:1] in FORMULA_STARTS:
        return "'" + value
    return value
