"""Makes the prevention report from the store, as JSON values or a page."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from assist.errors import AssistError
from assist.files import PAGE_BEGINS, check_file, write_file
from assist.records.export import records_between
from assist.records.report import Report, report
from assist.records.report_page import page
from assist.store.store import Store

DEFAULT_WEEKS = 12
"""Span of a report without a first day."""
EARLIEST_DAY, LATEST_DAY = date(2000, 1, 1), date(2099, 12, 31)
"""Limits of a report's span, as it has a row for every week, with calls or without."""


def report_from_store(store: Store, since: date | None, until: date | None, team: str = "") -> Report:
    """The report of these days (both included).

    Raises:
        AssistError: codes span-invalid, team-unknown, team-small.
    """
    last = until or date.today()
    if not all(EARLIEST_DAY <= each <= LATEST_DAY for each in (since or last, last)):
        raise AssistError("span-invalid", f"a report's days lie between {EARLIEST_DAY} and {LATEST_DAY}: give others")
    first = since or last - timedelta(weeks=DEFAULT_WEEKS)
    calls = list(store.digests(records_between(first, last)))
    return report(calls, store.reviews_by_call(), since=first, until=last, team=team)


def report_as_json(result: Report) -> dict[str, Any]:
    """The report as JSON values."""
    plain: dict[str, Any] = asdict(result)
    plain |= {"since": str(result.since or ""), "until": str(result.until)}
    for option, tally in zip(plain["options"], result.options, strict=True):
        del option["calmed_after_s"]
        option["median_s"] = tally.median_s
    return plain


def write_page(result: Report, out: Path) -> None:
    """The report as a page.

    Raises:
        AssistError: code export-failed.
    """
    check_file(out, PAGE_BEGINS)
    write_file(out, page(result))
