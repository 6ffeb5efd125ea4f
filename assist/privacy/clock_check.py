"""Checks the system clock before retention erases anything by it.

A clock that is set far ahead (a machine restored from an image) would have everything erased at once. So every
retention run is noted in the audit log, and a run too long after the last one waits, which is noted as well: meanwhile
somebody can set the clock. Where nobody does, as after a long closure, the clock is taken to be right after WAIT. A
clock that is set back erases less, not more: it is not checked.
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

RUN_ENTRY, WAITING_ENTRY = "retention", "retention-waits"
"""Audit log entries: a run, a run that waits."""
MAX_GAP = timedelta(days=35)
"""Since the last run; more makes the clock doubtful. Runs may be monthly."""
WAIT = timedelta(days=3)
"""How long a run waits for somebody to set the clock: a weekend."""


@dataclass(frozen=True, slots=True)
class ClockDoubt:
    """Why a retention run waits."""

    now: datetime
    last_known: str
    """The last time that is known to be right, ISO 8601: the last run; before the first one, the newest call."""
    since: datetime | None
    """When the wait was noted in the audit log; None: not yet."""

    def __str__(self) -> str:
        days = (self.now - datetime.fromisoformat(self.last_known)).days
        until = (self.since or self.now) + WAIT
        return (
            f"the clock says {self.now:%Y-%m-%d %H:%M} UTC, {days} days after the last run or call "
            f"({self.last_known[:10]}): set it if that is wrong; if it is right, `assist retention run` takes out what "
            f"is due, and serve by itself from {until:%Y-%m-%d %H:%M} UTC on"
        )


def clock_doubt(store: Store, found: Due, now: datetime) -> ClockDoubt | None:
    """Why the retention run that found this to be due waits; None where it does not."""
    return _clock_doubt(store, found, now) if found.anything else None


def _clock_doubt(store: Store, found: Due, now: datetime) -> ClockDoubt | None:
    last_known, waits = _last_known_time(store, found, now)
    if now - datetime.fromisoformat(last_known) <= MAX_GAP:
        return None
    since = datetime.fromisoformat(waits) if waits else None
    if since is not None and since > now:  # the clock was set since
        since = None
    return None if since is not None and now - since >= WAIT else ClockDoubt(now, last_known, since)


def _last_known_time(store: Store, found: Due, now: datetime) -> tuple[str, str]:
    """(last time known to be right, since when a run waits or empty); for a first run with nothing due, now."""
    last = store.people.last_audit_entry(RUN_ENTRY, WAITING_ENTRY)
    if last is None:
        return (found.anything and _newest_call(store)) or stamp(now), ""
    return (last.detail, last.at) if last.what == WAITING_ENTRY else (last.at, "")


def _newest_call(store: Store) -> str:
    return max((stored.started_at for stored in store.calls()), default="")


def _is_far_behind(store: Store, now: datetime) -> bool:
    """Whether the clock is far behind both the last audit entry and the newest call, as on a machine without a battery.

    A run by such a clock is not noted: by that entry the right time would be doubted, after every start.
    """
    last = store.people.last_audit_entry(RUN_ENTRY, WAITING_ENTRY)
    if last is not None and not _is_ahead(last.at, now):
        return False  # nearly always so: saves reading the calls
    newest = _newest_call(store)
    return bool(newest) and _is_ahead(newest, now)


def _is_ahead(at: str, now: datetime) -> bool:
    return now + MAX_GAP < datetime.fromisoformat(at)


def begin_run(
    store: Store, audit: Audit, found: Due, now: datetime, *, by: str = "", is_confirmed: bool = False
) -> None:
    """Note in the audit log that a retention run begins, or that it waits.

    A wait is noted also where nothing is due yet: otherwise the next day's run would take the clock to be right.

    Args:
        store: The store.
        audit: Its audit log.
        found: What is due.
        now: The time at which it was found to be due.
        by: Who runs the command; empty: the program itself.
        is_confirmed: Somebody has said that the clock is right.

    Raises:
        AssistError: code clock-doubted.
    """
    doubt = None if is_confirmed else _clock_doubt(store, found, now)
    if is_confirmed or (not _is_far_behind(store, now) if doubt is None else doubt.since is None):
        at, role = now.astimezone(UTC).isoformat(timespec="milliseconds"), "command" if by else "program"
        what, detail = (RUN_ENTRY, "") if doubt is None else (WAITING_ENTRY, doubt.last_known)
        audit.append([AuditEntry(at, by, role, what, "", detail)]).result()
    if doubt is not None and found.anything:
        raise AssistError("clock-doubted", str(doubt))
