"""Writes a call's events to the store: nothing without consent; a pause deletes the events of its lookback again.

The gate (consent, policy, pause) is stored before a page is told of a change, and read back when an interrupted call is
resumed: a call that was paused is still paused, a consent refused is still refused.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from assist.events import (
    Action,
    AlertRaised,
    CallStarted,
    ConsentSet,
    Event,
    FollowUpNoted,
    HandOffNoted,
    PlanMoved,
    PromptEnded,
    PromptShown,
    SignalRaised,
    StepTicked,
)
from assist.live.session import Session
from assist.privacy.consent import PAUSE_LOOKBACK_MS, Consent, ConsentPolicy, Gate
from assist.store.rows import StoredGate, stamp
from assist.store.store import Store
from audio.events import Utterance
from detectors.signals import LevelChange

MAX_RECENT = 400
"""Events remembered for the lookback of a pause; 2 s of a call have some tens, an unfinished utterance a few more."""


@dataclass
class CallLog:
    """The event log of one call, written where consent and pauses allow it."""

    store: Store
    call: str
    gate: Gate = field(default_factory=Gate)
    receipt: Future[None] | None = None
    """Of the last pause, resumption or change of consent: done when it is on disk; fails if what it deletes
    could not be deleted."""
    paused_by: str = ""
    """Who paused; empty while listening."""
    _paused_ms: int | None = None
    _resumed_ms: int = 0
    _started: tuple[int, CallStarted] | None = None
    _stored: bool = False
    _recent: deque[tuple[int, Event]] = field(default_factory=lambda: deque(maxlen=MAX_RECENT))

    @property
    def has_stored(self) -> bool:
        """Whether anything of this call is on disk."""
        return self._stored

    def restore(self, session: Session) -> None:
        """Restore the stored gate of a call that is resumed; a new call keeps its own."""
        stored = self.store.gate(self.call)
        if stored is not None:
            session.gate = Gate(ConsentPolicy(stored.policy), Consent(stored.consent), stored.by)
            session.paused_since = stored.paused_ms
            self._paused_ms, self.paused_by = stored.paused_ms, stored.paused_by
        self._stored = bool(self.store.raw_events(self.call))  # also without a stored gate
        self.gate = session.gate

    def write(self, number: int, event: Event) -> Future[None] | None:
        """Store an event where that is allowed.

        Returns:
            For a pause, a resumption or a change of consent: the future to wait for before anybody is told; else None.
        """
        match event:
            case CallStarted():
                self._started = (number, event)
                if self.gate.may_store:
                    self._write_start()
                return None
            case ConsentSet():
                self.receipt = self._set_consent(number, event)
                return self.receipt
            case Action(what="pause" | "resume"):
                self.receipt = self._pause(number, event)
                return self.receipt
        if self.gate.may_store:
            self.store.append(self.call, number, event)
            self._recent.append((number, event))
            if isinstance(event, Utterance) and not event.words:
                self._scrub_utterance(event)
        return None

    def _scrub_utterance(self, said: Utterance) -> None:
        """Delete the events stored about a hypothesis whose words a pause has withdrawn."""
        if self._paused_ms is None and said.start_ms >= self._resumed_ms:
            return
        reached = [(number, event) for number, event in self._recent if said.id in _quoted_utterances(event)]
        if not reached:
            return
        erasure = self._erase_events({number for number, _ in reached})
        for number, event in reached:
            if isinstance(event, LevelChange):  # level changes stay, without these signals
                because = tuple(signal for signal in event.because if signal.evidence.utterance != said.id)
                change = replace(event, because=because)
                self.store.append(self.call, number, change)
                self._recent.append((number, change))
        self.receipt = _joined(erasure, self.store.flush())

    def _write_start(self) -> None:
        if self._started is not None:
            number, started = self._started
            self.store.begin(self.call, started.started_at, started.agent)
            self.store.append(self.call, number, started)
            self._stored = True

    def _set_consent(self, number: int, event: ConsentSet) -> Future[None]:
        self.gate = Gate(ConsentPolicy(event.policy), Consent(event.consent), event.by)
        if self.gate.may_store:
            if not self._stored:
                self._write_start()
            self.store.append(self.call, number, event)
        elif self.gate.consent is Consent.REFUSED and self._stored:
            erased = self.store.erase([self.call])
            self._stored = False
            self._recent.clear()
            return _joined(erased, self._set_gate())
        return self._set_gate()

    def _pause(self, number: int, action: Action) -> Future[None]:
        paused = action.what == "pause"
        if not paused:
            self._paused_ms, self.paused_by, self._resumed_ms = None, "", action.at_ms
        elif self._paused_ms is None:
            self._paused_ms, self.paused_by = action.at_ms, action.who
        if paused:  # before the action is logged: if killed in between, the call is still resumed paused
            self._set_gate()
        if self.gate.may_store:
            self.store.append(self.call, number, action)
        if not paused:
            return self._set_gate()
        since_ms = action.at_ms - PAUSE_LOOKBACK_MS
        reached = set()
        if action.role != "system":
            reached = {n for n, event in self._recent if (ends := _words_end_ms(event)) is not None and ends > since_ms}
        return _joined(self._erase_events(reached), self.store.flush())

    def _erase_events(self, numbers: set[int]) -> Future[None] | None:
        """Delete these events from disk; they cannot be written again."""
        if not numbers:
            return None
        self._recent = deque((each for each in self._recent if each[0] not in numbers), maxlen=MAX_RECENT)
        return self.store.erase_events(self.call, sorted(numbers))

    def _set_gate(self) -> Future[None]:
        gate = StoredGate(
            self.gate.policy,
            self.gate.consent,
            self.gate.by,
            self._paused_ms,
            self.paused_by,
            stamp(),
        )
        return self.store.set_gate(self.call, gate)


def _joined(erasure: Future[None] | None, last: Future[None]) -> Future[None]:
    """A future done with `last`, which fails if the erasure before it has failed: that is known by then.

    It does not wait for the erasure itself, which waits for readers of the write-ahead log.
    """
    if erasure is None:
        return last
    both: Future[None] = Future()

    def written(_: Future[None]) -> None:
        error = (erasure.exception() if erasure.done() else None) or last.exception()
        both.set_result(None) if error is None else both.set_exception(error)

    last.add_done_callback(written)
    return both


def _quoted_utterances(event: Event) -> set[str]:
    """Ids of the utterances whose signals an event quotes."""
    match event:
        case SignalRaised():
            return {event.signal.evidence.utterance or ""}
        case LevelChange():
            return {signal.evidence.utterance or "" for signal in event.because}
        case PromptShown() | AlertRaised():
            return {key.rpartition("@")[2] for key in event.signals}
    return set()


def _words_end_ms(event: Event) -> int | None:
    """End in ms of the words that an event contains; None where it contains none."""
    match event:
        case Utterance() if event.words:
            return event.words[-1].end_ms
        case AlertRaised(kind="help" | "ask"):
            return None  # a person asked; nobody is quoted
        case SignalRaised():
            return event.signal.evidence.end_ms
        case PromptShown() | AlertRaised() | StepTicked() | FollowUpNoted() | PromptEnded() | LevelChange():
            return event.at_ms
        case PlanMoved() | HandOffNoted():
            return event.at_ms
    return None
