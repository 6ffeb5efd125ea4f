"""Resuming an interrupted call: its session is rebuilt from its event log, and call time runs on.

Rebuilding takes a while, so it is done in a thread; the sound is taken from the start and held until then.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from assist.errors import AssistError
from assist.events import (
    OUTLIVES_CALL,
    Action,
    CallEnded,
    CallStarted,
    Event,
    SignalRaised,
    SignalWithdrawn,
    done_ms,
)
from assist.live.session import TICK_MS, Session
from audio.events import Gap, Heard, Hypothesis, SpeechActivity, Trouble, Utterance, VoiceMeasure, shifted_words
from audio.source import Arrival, CallSource, end_sound
from detectors.signals import Detector, Level, LevelChange, Signal, Window

RESUME_S = 120
"""A call interrupted longer ago cannot be resumed."""
UNSTORED_RESUME_S = 12 * 3600
"""A call that was not stored cannot be resumed if it began longer ago: when it was interrupted is not known."""
MAX_HELD = 600
"""Chunks, of 0.1 s as a rule: sound held while a session is rebuilt."""


def last_end(events: Sequence[Event]) -> CallEnded | None:
    """The end of a call that is over; after it there is only what became of its alerts."""
    last = next((event for event in reversed(events) if not isinstance(event, OUTLIVES_CALL)), None)
    return last if isinstance(last, CallEnded) else None


def resume_offset_ms(started: CallStarted, cut: CallEnded, now: datetime) -> int:
    """Call time in ms at which an interrupted call goes on.

    Raises:
        AssistError: code resume-late.
    """
    away = now - datetime.fromisoformat(started.started_at)
    offset_ms = max(cut.at_ms, round(away.total_seconds() * 1000))
    if offset_ms - cut.at_ms > RESUME_S * 1000:
        raise AssistError(
            "resume-late", f"call {started.call} was cut short more than {RESUME_S} s ago: begin a new one"
        )
    return offset_ms


def unstored_resume_offset_ms(call: str, began: datetime, now: datetime) -> int:
    """The same for a call that was not stored: only when it began is known.

    Raises:
        AssistError: code resume-late.
    """
    offset_ms = max(0, round((now - began).total_seconds() * 1000))
    if offset_ms > UNSTORED_RESUME_S * 1000:
        raise AssistError(
            "resume-late", f"call {call} began more than {UNSTORED_RESUME_S // 3600} h ago: begin a new one"
        )
    return offset_ms


class HeldSound:
    """The sound of a source, taken from now on and handed out when it is iterated. Close it where it is not."""

    def __init__(self, source: CallSource) -> None:
        self.name, self.speakers = source.name, source.speakers
        self._arrived: asyncio.Queue[Arrival | Exception | None] = asyncio.Queue(MAX_HELD)
        self._taking = asyncio.create_task(self._take(source))

    async def __aiter__(self) -> AsyncIterator[Arrival]:
        """What the source yields, or raises."""
        try:
            while (arrival := await self._arrived.get()) is not None:
                if isinstance(arrival, Exception):
                    raise arrival
                yield arrival
        finally:
            await self.close()

    async def close(self) -> None:
        """End the source."""
        self._taking.cancel()
        await asyncio.wait([self._taking])

    async def _take(self, source: CallSource) -> None:
        sound = aiter(source)
        try:
            async for arrival in sound:
                await self._arrived.put(arrival)
            await self._arrived.put(None)
        except Exception as error:
            await self._arrived.put(error)
        finally:
            await end_sound(sound)


@dataclass
class _LoggedSignals:
    """In place of a session's detectors while it is rebuilt: in each utterance the signals that the log has of it.

    The detectors see the windows all the same, for what they remember; of words only the last ones, as judging them
    takes most of the time.
    """

    detectors: list[Detector]
    by_utterance: dict[str, list[Signal]]
    end_ms: int
    """The end of the log."""
    name = "log"
    version = "1"

    def __call__(self, window: Window) -> Sequence[Signal]:
        for detector in list(self.detectors):
            if window.now_ms >= self.end_ms - getattr(detector, "memory_ms", math.inf):
                try:
                    list(detector(window))
                except Exception:  # as in a live call, it goes on without it
                    self.detectors.remove(detector)
        return self.by_utterance.get(window.latest.id, ()) if window.latest is not None else ()


def rebuild(session: Session, events: Sequence[Event]) -> None:
    """Replay a log into a new session. The events that the session returns are dropped: they are in the log already.

    Signals are those of the log. It lacks hypotheses, words said before consent and words withdrawn by a pause, so a
    replay may give other prompts and alerts than the log has. Those of the log count: pages and record show them.
    """
    stand_in = _LoggedSignals(session.detectors, _signals_by_utterance(events), max(map(done_ms, events)))
    session.detectors = [stand_in]
    for event in events:
        for _ in replayed(session, (event,)):
            pass
        session.adopt_logged(event)
    session.detectors = stand_in.detectors
    _restore_level(session, events)


def _signals_by_utterance(events: Iterable[Event]) -> dict[str, list[Signal]]:
    """The signals of a log by the utterance they were found in, without those that were withdrawn."""
    signals: dict[str, Signal] = {}
    for event in events:
        match event:
            case SignalRaised():
                signals[event.signal.key] = event.signal
            case SignalWithdrawn():
                signals.pop(event.key, None)
    found: dict[str, list[Signal]] = {}
    for signal in signals.values():
        found.setdefault(signal.evidence.utterance or "", []).append(signal)
    return found


def replayed(session: Session, events: Iterable[Event]) -> Iterator[tuple[Event | None, list[Event]]]:
    """Replay a log in a new session: each logged event (None: a tick of time) with the events that it gives now.

    Words and actions are judged again; signals without a quote (a raised voice) are restored as logged, as their audio
    is gone.
    """
    for event in events:
        at_ms = done_ms(event)
        for now_ms in range(session.now_ms + TICK_MS, at_ms, TICK_MS):
            yield None, session.tick(now_ms)
        match event:
            case Utterance():
                yield event, session.hear(event)
            case Action():
                yield event, session.act(event)
            case SignalRaised() if not event.signal.evidence.quote:
                yield event, session.restore_signal(event)
            case _:
                session.now_ms = max(session.now_ms, at_ms)


def _restore_level(session: Session, events: Iterable[Event]) -> None:
    """Set the level to the logged one where the replay gave another: what led to it was said before consent."""
    level = Level.CALM
    for event in events:
        if isinstance(event, LevelChange):
            level = event.level
    if session.escalation.level is not level:
        session.escalation.resume(level, session.now_ms)
        session.coach.set_level(level)


def shifted(heard: Heard, by_ms: int, run: int) -> Heard:
    """What the listener of a resumed call reports, moved to call time; `run` makes its utterance ids distinct."""
    match heard:
        case Utterance() | Hypothesis():
            moved = replace(heard, id=f"{heard.id}.{run}", start_ms=heard.start_ms + by_ms)
            if isinstance(moved, Utterance):
                return replace(moved, end_ms=moved.end_ms + by_ms, words=shifted_words(moved.words, by_ms))
            return replace(
                moved, agreed=shifted_words(moved.agreed, by_ms), tentative=shifted_words(moved.tentative, by_ms)
            )
        case Gap():
            return replace(heard, start_ms=heard.start_ms + by_ms, end_ms=heard.end_ms + by_ms)
        case SpeechActivity() | VoiceMeasure() | Trouble():
            return replace(heard, at_ms=heard.at_ms + by_ms)
