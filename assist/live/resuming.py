"""Resuming an interrupted call: its session is rebuilt from its event log, and call time runs on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from assist.errors import AssistError
from assist.events import Action, AlertMoved, CallEnded, CallStarted, Event, SignalRaised, done_ms
from assist.live.session import TICK_MS, Session
from audio.events import Gap, Heard, Hypothesis, SpeechActivity, Trouble, Utterance, VoiceMeasure, shifted_words
from detectors.signals import Level, LevelChange

RESUME_S = 120
"""A call interrupted longer ago cannot be resumed."""
UNSTORED_RESUME_S = 12 * 3600
"""A call that was not stored cannot be resumed if it began longer ago: when it was interrupted is not known."""


def last_end(events: Sequence[Event]) -> CallEnded | None:
    """The end of a call that is over; after it there is only what became of its alerts."""
    last = next((event for event in reversed(events) if not isinstance(event, Action | AlertMoved)), None)
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


def rebuild(session: Session, events: Iterable[Event]) -> None:
    """Replay a log into a new session. The events that the session returns are dropped: they are in the log already.

    The log lacks hypotheses, words said before consent and words withdrawn by a pause, so a replay may give other
    prompts and alerts than the log has. Those of the log count: pages and record show them.
    """
    for event in events:
        for _ in replayed(session, (event,)):
            pass
        session.adopt_logged(event)


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


def restore_level(session: Session, events: Iterable[Event]) -> None:
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
