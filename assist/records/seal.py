"""The hash chain over a call's event log: whoever holds a record can see whether the log behind it was changed later.

Link n is sha256(link n-1, the event's number, its type, its JSON as stored), beginning with the call's id. It shows a
change; it cannot show one made by somebody who rewrites the log and every copy of the record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from assist.errors import AssistError
from assist.events import TranscribedLate
from assist.records.record import Seal, read_record
from assist.store.store import Store

LATE_EVENT = TranscribedLate.__name__
"""The event type after which a finished log may grow (assist/live/late_words.py)."""


def seal(call: str, rows: Iterable[tuple[int, str, str]]) -> Seal:
    """The seal of a log.

    Args:
        call: Id of the call.
        rows: (number, type, JSON) of each stored event, in order.
    """
    link = hashlib.sha256(call.encode()).digest()
    count = 0
    for number, name, body in rows:
        link = hashlib.sha256(link + f"{number}\0{name}\0{body}".encode()).digest()
        count += 1
    return Seal(events=count, sha256=link.hex())


def verify_log(store: Store, call: str, exported: Path | None = None) -> str:
    """Check that the stored log is the one the record was made from; returns a line that says so.

    Args:
        store: Where the log is.
        call: Id of the call.
        exported: A record exported as JSON; None: the stored one.

    Raises:
        AssistError: codes record-unknown, record-unreadable, record-unsealed, log-erased, log-changed.
    """
    try:
        body = store.record(call) if exported is None else json.loads(exported.read_text(encoding="utf-8"))
    except OSError as error:
        raise AssistError("record-unreadable", f"{exported}: {error.strerror}") from None
    except ValueError:
        raise AssistError("record-unreadable", f"{exported}: expected a record exported as JSON") from None
    if not isinstance(body, dict):
        raise AssistError("record-unknown", f"no record of call {call!r}; see `assist records list`")
    record = read_record(body)
    if record.call != call or record.seal is None:
        raise AssistError("record-unsealed", f"the record of call {record.call} carries no seal for {call}")
    rows = store.raw_events(call)
    if not rows:
        raise AssistError("log-erased", f"the event log of call {call} is no longer here: there is nothing to compare")
    current = seal(call, rows)
    sealed_count = record.seal.events
    grown = exported is not None and [name for _, name, _ in rows[sealed_count : sealed_count + 1]] == [LATE_EVENT]
    if grown and seal(call, rows[:sealed_count]) == record.seal:
        return (
            f"call {call}: the first {sealed_count} events are unchanged since this record was exported "
            f"(sha256 {record.seal.sha256}); {len(rows) - sealed_count} have been added since, "
            "of words transcribed late: "
            "export it again"
        )
    if current != record.seal:
        raise AssistError(
            "log-changed",
            f"the log of call {call} is not the one its record was made from: {current.events} events, "
            f"sha256 {current.sha256[:16]}…, expected {record.seal.events} events, {record.seal.sha256[:16]}…",
        )
    return f"call {call}: {current.events} events, unchanged since the record was made (sha256 {current.sha256})"
