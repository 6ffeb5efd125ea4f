"""A call that was cut short goes on: its state is made again from its own log, its time runs on from there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from assist.errors import AssistError
from assist.events import Action, CallEnded, CallStarted, Event, SignalRaised, done_ms
from assist.live.session import TICK_MS, Session
from audio.events import Gap, Heard, Hypothesis, SpeechActivity, Trouble, Utterance, VoiceMeasure, shifted_words
from detectors.signals import Level, LevelChange

RESUME_S = 120
"""A call that was cut short longer ago is over."""
UNKEPT_S = 12 * 3600
"""When a call that was not kept was cut short, nobody can say; one that began longer ago is over."""


def resumes_ms(started: CallStarted, cut: CallEnded, now: datetime) -> int:
    """The call time at which a call that was cut short there goes on.

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


def resumes_unkept_ms(call: str, began: datetime, now: datetime) -> int:
    """The same for a call of which only its beginning is known.

    Raises:
        AssistError: code resume-late.
    """
    offset_ms = max(0, round((now - began).total_seconds() * 1000))
    if offset_ms > UNKEPT_S * 1000:
        raise AssistError("resume-late", f"call {call} began more than {UNKEPT_S // 3600} h ago: begin a new one")
    return offset_ms


def rebuild(session: Session, events: Iterable[Event]) -> None:
    """Bring a fresh session to where the log left off. What it says meanwhile has been said and is dropped.

    The log lacks words that did not settle, that were said before consent or that a pause took back: judged again, it
    comes to other cards and alerts. Those of the log count, for it is them that pages and record know.
    """
    for event in events:
        for _ in judged(session, (event,)):
            pass
        session.follow(event)


def judged(session: Session, events: Iterable[Event]) -> Iterator[tuple[Event | None, list[Event]]]:
    """Judge a log again in a fresh session: each event, or None where time has passed, with what is said because of it.

    Words and actions are judged again; signals that stood on sound (a raised voice) are taken as they were logged, for
    the sound is gone.
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
                yield event, session.take(event)
            case _:
                session.now_ms = max(session.now_ms, at_ms)


def stand(session: Session, events: Iterable[Event]) -> None:
    """Take the level from the log where what led to it is not in there: it was said before consent."""
    level = Level.CALM
    for event in events:
        if isinstance(event, LevelChange):
            level = event.level
    if session.escalation.level is not level:
        session.escalation.resume(level, session.now_ms)
        session.coach.stand(level)


def shifted(heard: Heard, by_ms: int, run: int) -> Heard:
    """What a listener that began in mid-call says, in the call's own time; utterance ids are kept apart by the run."""
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
