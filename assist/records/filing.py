"""Makes the record of a call from its stored log, and seals it."""

from __future__ import annotations

from collections.abc import Sequence

from assist.events import CallEnded, CallStarted, done_ms
from assist.privacy.consent import Consent
from assist.records.accounting import time_totals
from assist.records.folding import fold
from assist.records.record import IncidentRecord
from assist.records.seal import seal
from assist.store.codec import decode
from assist.store.store import Store


def record_of(call: str, rows: Sequence[tuple[int, str, str]]) -> IncidentRecord:
    """The sealed record of a log; `rows`: (number, type, JSON) of its events, in order."""
    record = fold(decode(name, body) for _, name, body in rows)
    return record.model_copy(update={"seal": seal(call, rows)})


def file_record(store: Store, call: str, state: str) -> IncidentRecord | None:
    """Store a call's record and set its state, such as "ended"; blocks until both are on disk. None: it is erased."""
    rows = store.raw_events(call)
    if not rows:
        return None
    record = record_of(call, rows)
    store.finish(call, state, record.model_dump(mode="json")).result()
    return record


def close_interrupted(store: Store) -> list[str]:
    """Close the calls that an earlier run of the program left open; returns their ids.

    A call that was refused and is on hold stays as it is, without a record, until it is released; what waits for
    damaged keys holds up no start.
    """
    interrupted = []
    erasures = []
    for stored in store.calls("live"):
        events, gate = store.events(stored.call), store.gate(stored.call)
        refused = gate is not None and gate.consent == Consent.REFUSED  # and could not be erased at once
        # Without CallStarted: interrupted before its first event was stored.
        if refused or not events or not isinstance(events[0][1], CallStarted):
            erasures.append(store.erase([stored.call]))
            continue
        last_n, last = events[-1]
        if not isinstance(last, CallEnded):
            at_ms = max(done_ms(event) for _, event in events)
            accounted_ms = time_totals((event for _, event in events), at_ms)
            store.append(stored.call, last_n + 1, CallEnded(at_ms, "interrupted", accounted_ms)).result()
        file_record(store, stored.call, "interrupted")
        interrupted.append(stored.call)
    store.flush().result()
    for erasure in erasures:
        error = erasure.exception() if erasure.done() else None
        if error is not None and getattr(error, "code", "") != "on-hold":
            raise error
    return interrupted
