"""The prevention report taken from the store, and given away as figures or a page."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from assist.errors import AssistError
from assist.files import write_file
from assist.records.export import span
from assist.records.report import Report, report
from assist.records.report_page import page
from assist.store.store import Store

WEEKS = 12
"""How far back a report goes where nobody says."""
FIRST, LAST = date(2000, 1, 1), date(2099, 12, 31)
"""A report has a row for every week, with calls or without: it never goes beyond these days."""


def report_of(store: Store, since: date | None, until: date | None, team: str = "") -> Report:
    """The report of these days (both included).

    Raises:
        AssistError: codes span-invalid, team-unknown, team-small.
    """
    last = until or date.today()
    if not all(FIRST <= each <= LAST for each in (since or last, last)):
        raise AssistError("span-invalid", f"a report's days lie between {FIRST} and {LAST}: give others")
    first = since or last - timedelta(weeks=WEEKS)
    calls = list(store.digests(span(first, last)))
    return report(calls, store.said(), since=first, until=last, team=team)


def figures(found: Report) -> dict[str, Any]:
    """The report as JSON values."""
    plain: dict[str, Any] = asdict(found)
    plain |= {"since": str(found.since or ""), "until": str(found.until)}
    for option, tally in zip(plain["options"], found.options, strict=True):
        del option["calmed_after_s"]
        option["median_s"] = tally.median_s
    return plain


def write_page(found: Report, out: Path) -> None:
    """The report as a page.

    Raises:
        AssistError: code export-failed.
    """
    write_file(out, page(found))
