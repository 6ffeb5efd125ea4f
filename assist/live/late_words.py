"""What words that came after a call's end make of it: its log judged again with them, its record made anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from assist.coach.promises import is_same
from assist.events import (
    CallEnded,
    CallStarted,
    Event,
    FollowUpNoted,
    SignalRaised,
    SignalWithdrawn,
    TranscribedLate,
    done_ms,
)
from assist.live.accounting import time_totals
from assist.live.resuming import replayed
from assist.live.session import Session
from assist.records.filing import record_of
from assist.store.codec import decode, encode
from assist.store.store import Store
from audio.events import Utterance
from detectors.signals import LevelChange


async def add_late(
    store: Store,
    session_of: Callable[[CallStarted], Session],
    call: str,
    said: Sequence[Utterance],
    after_s: int,
    versions: dict[str, str],
    over: Callable[[], bool],
) -> list[Event]:
    """Put what an ended call said into its log, and a new record in the old one's place; its start and what was added.

    Nothing is added where the call has been erased or goes on again, or where nothing may be kept of these words.
    """
    rows = await asyncio.to_thread(store.log, call)
    logged = [decode(name, body) for _, name, body in rows]
    if not logged or not isinstance(logged[0], CallStarted) or store.record(call) is None:
        return []
    started = logged[0]
    events = await asyncio.to_thread(
        heard_late, lambda: session_of(started), logged, said, after_s=after_s, versions=versions, over=over
    )
    if not events:
        return []
    await _amend(store, call, rows, events)
    return [started, *events]


async def add_after(store: Store, call: str, event: Event) -> None:
    """Put what happened about a call after its end into its log and its record."""
    rows = await asyncio.to_thread(store.log, call)
    if rows:
        await _amend(store, call, rows, [event])


async def _amend(store: Store, call: str, rows: Sequence[tuple[int, str, str]], events: Sequence[Event]) -> None:
    last = rows[-1][0]
    numbered = list(enumerate(events, last + 1))
    record = record_of(call, [*rows, *((n, *encode(event)) for n, event in numbered)])
    await asyncio.wrap_future(store.amend(call, last, numbered, record.model_dump(mode="json")))


def heard_late(
    session: Callable[[], Session],
    logged: Sequence[Event],
    late: Sequence[Utterance],
    *,
    after_s: int,
    versions: dict[str, str],
    over: Callable[[], bool] = lambda: False,
) -> list[Event]:
    """What words that came after the call add to its log; empty where nothing of them may be kept.

    Args:
        session: Gives a fresh one for this call.
        logged: The call's log.
        late: What was said, unmasked, with its true times.
        after_s: How long after the call's end this is, in seconds.
        versions: The recogniser, its model and the rules.
        over: Asked now and then whether to give up.
    """
    ended = next((event for event in reversed(logged) if isinstance(event, CallEnded)), None)
    if ended is None:  # when it ended, nothing of it was to be kept any more
        return []
    ids = {said.id for said in late}
    said: dict[str, Utterance] = {}
    taken_back = False
    signals: dict[str, SignalRaised] = {}
    promises: list[tuple[str, FollowUpNoted]] = []
    course: list[LevelChange] = []
    promised = [event for event in logged if isinstance(event, FollowUpNoted)]

    def known(promise: FollowUpNoted) -> bool:
        return any(is_same(each.what, promise.what) for each in promised)

    for cause, events in replayed(session(), _in_time(logged, late)):
        if over():
            return []
        for event in events:
            match event:
                case Utterance() if event.id in ids:
                    taken_back = taken_back or event.id in said
                    said[event.id] = event
                case SignalRaised(signal=signal) if signal.evidence.utterance in ids:
                    signals[signal.key] = event
                case SignalWithdrawn():
                    signals.pop(event.key, None)
                case FollowUpNoted() if isinstance(cause, Utterance) and cause.id in ids and not known(event):
                    promises.append((cause.id, event))
                case LevelChange():
                    course.append(event)
    silent = {each.id for each in late if not each.words}
    kept = {name: each for name, each in said.items() if each.words}
    if taken_back:  # by a pause: what stood on it has never been
        left = [replace(each, words=kept[each.id].words) if each.id in kept else each for each in late]
        left = [each for each in left if each.id in silent or each.id in kept]
        return heard_late(session, logged, left, after_s=after_s, versions=versions, over=over)
    ranges = [each for each in late if each.id in silent or each.id in kept]
    if not ranges:
        return []
    marker = TranscribedLate(
        ended.at_ms,
        tuple((each.speaker.value, each.start_ms, each.end_ms) for each in ranges),
        after_s,
        {},
        versions,
    )
    whole_ms = sum(ms for name, ms in ended.accounted_ms.items() if name.startswith(f"{ranges[0].speaker}."))
    sums = time_totals([*logged, *kept.values(), marker], whole_ms)

    return [
        replace(marker, accounted_ms=sums),
        *sorted(kept.values(), key=lambda each: each.start_ms),
        *sorted(signals.values(), key=lambda each: each.at_ms),
        *(replace(each, id=f"late-{each.id}") for name, each in promises if name in kept),
        *course,
    ]


def _in_time(logged: Sequence[Event], late: Sequence[Utterance]) -> list[Event]:
    """The log with the late words where they ended."""
    waiting = sorted(late, key=lambda each: each.end_ms)
    merged: list[Event] = []
    for event in logged:
        at_ms = done_ms(event)
        while waiting and waiting[0].end_ms <= at_ms:
            merged.append(waiting.pop(0))
        merged.append(event)
    return [*merged, *waiting]
