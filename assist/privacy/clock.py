"""Whether the clock is believed before anything is taken out by it.

A clock that is set far ahead (a machine brought back from an image) would have everything erased at once. So retention
runs are in the audit log, and one so long after the last one waits, which is noted as well: somebody can set the clock
meanwhile, and where nobody does, as after a long closure, it is believed in the end. A clock that is set back takes out
less, not more: it is believed at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from assist.access.audit import Audit
from assist.errors import AssistError
from assist.privacy.retention import Due
from assist.store.people import AuditEntry
from assist.store.rows import stamp
from assist.store.store import Store

RAN, WAITS = "retention", "retention-waits"
"""In the audit log."""
LEAP = timedelta(days=35)
"""Since the last run: what is more is doubted; a timetable may be a month's."""
PATIENCE = timedelta(days=3)
"""As long as a weekend."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why nothing is taken out yet."""

    now: datetime
    known: str
    """ISO 8601: the last run, or before the first one the newest call."""
    since: datetime | None
    """None: it is not noted yet."""

    def __str__(self) -> str:
        days = (self.now - datetime.fromisoformat(self.known)).days
        until = (self.since or self.now) + PATIENCE
        return (
            f"the clock says {self.now:%Y-%m-%d %H:%M} UTC, {days} days after the last run or call "
            f"({self.known[:10]}): set it if that is wrong; if it is right, `assist retention run` takes out what is "
            f"due, and serve by itself from {until:%Y-%m-%d %H:%M} UTC on"
        )


def doubted(store: Store, found: Due, now: datetime) -> Doubt | None:
    """Why what was found to be due at this time waits; None where it does not."""
    return _doubt(store, found, now) if found.anything else None


def _doubt(store: Store, found: Due, now: datetime) -> Doubt | None:
    known, waits = _last(store, found, now)
    if now - datetime.fromisoformat(known) <= LEAP:
        return None
    since = datetime.fromisoformat(waits) if waits else None
    if since is not None and since > now:  # the clock was set since
        since = None
    return None if since is not None and now - since >= PATIENCE else Doubt(now, known, since)


def _last(store: Store, found: Due, now: datetime) -> tuple[str, str]:
    """The time that is known, and where a run waits, since when; a first run with nothing to take out is believed."""
    last = store.people.last_noted(RAN, WAITS)
    if last is None:
        return (found.anything and _newest_call(store)) or stamp(now), ""
    return (last.detail, last.at) if last.what == WAITS else (last.at, "")


def _newest_call(store: Store) -> str:
    return max((stored.started_at for stored in store.calls()), default="")


def _set_back(store: Store, now: datetime) -> bool:
    """Whether a clock is far behind both what was noted last and the newest call, as at the start of a machine without
    a battery.

    A run by it is not noted: the right time would be doubted for it, and anew after each start.
    """
    last = store.people.last_noted(RAN, WAITS)
    if last is not None and not _is_ahead(last.at, now):
        return False  # as nearly always: no call is looked at
    newest = _newest_call(store)
    return bool(newest) and _is_ahead(newest, now)


def _is_ahead(at: str, now: datetime) -> bool:
    return now + LEAP < datetime.fromisoformat(at)


def begin_run(store: Store, audit: Audit, found: Due, now: datetime, *, by: str = "", believed: bool = False) -> None:
    """Note in the audit log that what was found to be due is taken out now, or that this waits.

    A leap of the clock is noted when it is seen, also where nothing is due yet: else it is believed the day after.

    Args:
        store: The store.
        audit: Its audit log.
        found: What is due.
        now: By which it was found.
        by: Whose command it is; empty: the program itself.
        believed: Somebody has said that the clock is right.

    Raises:
        AssistError: code clock-doubted.
    """
    doubt = None if believed else _doubt(store, found, now)
    if believed or (not _set_back(store, now) if doubt is None else doubt.since is None):
        at, role = now.astimezone(UTC).isoformat(timespec="milliseconds"), "command" if by else "program"
        what, detail = (RAN, "") if doubt is None else (WAITS, doubt.known)
        audit.append([AuditEntry(at, by, role, what, "", detail)]).result()
    if doubt is not None and found.anything:
        raise AssistError("clock-doubted", str(doubt))
