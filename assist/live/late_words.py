"""Adds words transcribed after a call's end to its log, with what the detectors and the coach find in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from assist.coach.promises import is_same
from assist.events import (
    OUTLIVES_CALL,
    CallEnded,
    CallStarted,
    Event,
    FollowUpNoted,
    SignalRaised,
    SignalWithdrawn,
    TranscribedLate,
    done_ms,
)
from assist.live.resuming import replayed
from assist.live.session import Session
from assist.records.accounting import time_totals
from assist.records.filing import record_of
from assist.store.codec import decode, encode
from assist.store.store import Store
from audio.events import Utterance
from detectors.signals import LevelChange


async def add_late_words(
    store: Store,
    session_of: Callable[[CallStarted], Session],
    call: str,
    said: Sequence[Utterance],
    after_s: int,
    versions: dict[str, str],
    cancelled: Callable[[], bool],
) -> list[Event]:
    """Add late utterances to an ended call's log and replace its record; returns CallStarted and the added events.

    Nothing is added where the call has been erased or resumed, or where none of these words may be stored.
    """
    rows = await asyncio.to_thread(store.raw_events, call)
    logged = [decode(name, body) for _, name, body in rows]
    if not logged or not isinstance(logged[0], CallStarted) or store.record(call) is None:
        return []
    started = logged[0]
    events = await asyncio.to_thread(
        late_events, lambda: session_of(started), logged, said, after_s=after_s, versions=versions, cancelled=cancelled
    )
    if not events:
        return []
    await _amend(store, call, rows, events)
    return [started, *events]


async def add_late_event(store: Store, call: str, event: Event) -> None:
    """Add an event that happened after a call's end to its log and its record."""
    rows = await asyncio.to_thread(store.raw_events, call)
    if rows:
        await _amend(store, call, rows, [event])


async def _amend(store: Store, call: str, rows: Sequence[tuple[int, str, str]], events: Sequence[Event]) -> None:
    last = rows[-1][0]
    numbered = list(enumerate(events, last + 1))
    record = record_of(call, [*rows, *((n, *encode(event)) for n, event in numbered)])
    await asyncio.wrap_future(store.amend(call, last, numbered, record.model_dump(mode="json")))


def late_events(
    session: Callable[[], Session],
    logged: Sequence[Event],
    late_words: Sequence[Utterance],
    *,
    after_s: int,
    versions: dict[str, str],
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Event]:
    """The events that late words add to a call's log; empty where none of them may be stored.

    Args:
        session: Makes a new session for this call.
        logged: The call's log.
        late_words: The utterances, unmasked, at the call time they were said.
        after_s: How long after the call's end this is, in seconds.
        versions: The recogniser, its model and the rules.
        cancelled: Asked now and then whether to give up.
    """
    ended = next((event for event in reversed(logged) if isinstance(event, CallEnded)), None)
    if ended is None:  # nothing of the call was to be stored any more when it ended
        return []
    # Without what became of its alerts afterwards: the level would be judged until then.
    logged = [each for each in logged if not isinstance(each, OUTLIVES_CALL) or each.at_ms <= ended.at_ms]
    ids = {said.id for said in late_words}
    said: dict[str, Utterance] = {}
    withdrawn = False
    signals: dict[str, SignalRaised] = {}
    promises: list[tuple[str, FollowUpNoted]] = []
    course: list[LevelChange] = []
    known_promises = [event for event in logged if isinstance(event, FollowUpNoted)]

    def is_known(promise: FollowUpNoted) -> bool:
        return any(is_same(each.what, promise.what) for each in known_promises)

    for cause, events in replayed(session(), _merged(logged, late_words)):
        if cancelled():
            return []
        for event in events:
            match event:
                case Utterance() if event.id in ids:
                    withdrawn = withdrawn or event.id in said
                    said[event.id] = event
                case SignalRaised(signal=signal) if signal.evidence.utterance in ids:
                    signals[signal.key] = event
                case SignalWithdrawn():
                    signals.pop(event.key, None)
                case FollowUpNoted() if isinstance(cause, Utterance) and cause.id in ids and not is_known(event):
                    promises.append((cause.id, event))
                case LevelChange():
                    course.append(event)
    silent = {each.id for each in late_words if not each.words}
    stored = {name: each for name, each in said.items() if each.words}
    if withdrawn:  # by a pause: replay once more without these words, as if they had not been transcribed
        left = [replace(each, words=stored[each.id].words) if each.id in stored else each for each in late_words]
        left = [each for each in left if each.id in silent or each.id in stored]
        return late_events(session, logged, left, after_s=after_s, versions=versions, cancelled=cancelled)
    ranges = [each for each in late_words if each.id in silent or each.id in stored]
    if not ranges:
        return []
    marker = TranscribedLate(
        ended.at_ms,
        tuple((each.speaker.value, each.start_ms, each.end_ms) for each in ranges),
        after_s,
        {},
        versions,
    )
    duration_ms = sum(ms for name, ms in ended.accounted_ms.items() if name.startswith(f"{ranges[0].speaker}."))
    sums = time_totals([*logged, *stored.values(), marker], duration_ms)

    return [
        replace(marker, accounted_ms=sums),
        *sorted(stored.values(), key=lambda each: each.start_ms),
        *sorted(signals.values(), key=lambda each: each.at_ms),
        *(replace(each, id=f"late-{each.id}") for name, each in promises if name in stored),
        *course,
    ]


def _merged(logged: Sequence[Event], late_words: Sequence[Utterance]) -> list[Event]:
    """The log with each late utterance inserted at its end."""
    waiting = sorted(late_words, key=lambda each: each.end_ms)
    merged: list[Event] = []
    for event in logged:
        at_ms = done_ms(event)
        while waiting and waiting[0].end_ms <= at_ms:
            merged.append(waiting.pop(0))
        merged.append(event)
    return [*merged, *waiting]
