"""What of one call goes to disk: nothing without consent, and what a pause reaches back to is taken out again.

The gate (consent, policy, pause) is latched in the store before a page hears of it, and read back when a call that was
cut short goes on: a call that was paused is still paused, a consent refused is still refused.
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
from assist.privacy.consent import PAUSE_REACH_MS, Consent, ConsentPolicy, Gate
from assist.store.rows import StoredGate, stamp
from assist.store.store import Store
from audio.events import Utterance
from detectors.signals import LevelChange

RECENT = 400
"""Events remembered for a pause to reach back to; 2 s of a call hold some tens, an unfinished utterance a few more."""


@dataclass
class Keeper:
    """Stands between one call and the store."""

    store: Store
    call: str
    gate: Gate = field(default_factory=Gate)
    latched: Future[None] | None = None
    """Fulfilled when the last pause, resumption or word about consent is on disk; fails where what it takes out is not
    out."""
    paused_by: str = ""
    """Who paused; empty while listening."""
    _paused_ms: int | None = None
    _resumed_ms: int = 0
    _started: tuple[int, CallStarted] | None = None
    _begun: bool = False
    _recent: deque[tuple[int, Event]] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def kept(self) -> bool:
        """There is something of this call on disk."""
        return self._begun

    def restore(self, session: Session) -> None:
        """Give a call that goes on the gate it had; one that is new keeps its own."""
        stored = self.store.gate(self.call)
        if stored is not None:
            session.gate = Gate(ConsentPolicy(stored.policy), Consent(stored.consent), stored.by)
            session.paused_since = stored.paused_ms
            self._paused_ms, self.paused_by = stored.paused_ms, stored.paused_by
        self._begun = bool(self.store.log(self.call))  # also where it was cut short before its first word about consent
        self.gate = session.gate

    def take(self, number: int, event: Event) -> Future[None] | None:
        """Keep an event where that is allowed.

        Returns:
            For a pause, a resumption or a word about consent: the receipt to wait for before anybody is told.
        """
        match event:
            case CallStarted():
                self._started = (number, event)
                if self.gate.kept:
                    self._begin()
                return None
            case ConsentSet():
                self.latched = self._consent(number, event)
                return self.latched
            case Action(what="pause" | "resume"):
                self.latched = self._pause(number, event)
                return self.latched
        if self.gate.kept:
            self.store.append(self.call, number, event)
            self._recent.append((number, event))
            if isinstance(event, Utterance) and not event.words:
                self._take_back(event)
        return None

    def _take_back(self, said: Utterance) -> None:
        """What was written of an utterance while it was still being said goes where a pause takes its words."""
        if self._paused_ms is None and said.start_ms >= self._resumed_ms:
            return
        reached = [(number, event) for number, event in self._recent if said.id in _utterances(event)]
        if not reached:
            return
        scrubbed = self._scrub({number for number, _ in reached})
        for number, event in reached:
            if isinstance(event, LevelChange):  # the level's course stays, without these words
                because = tuple(signal for signal in event.because if signal.evidence.utterance != said.id)
                course = replace(event, because=because)
                self.store.append(self.call, number, course)
                self._recent.append((number, course))
        self.latched = _with(scrubbed, self.store.flush())  # told when all this is on disk

    def _begin(self) -> None:
        if self._started is not None:
            number, started = self._started
            self.store.begin(self.call, started.started_at, started.agent)
            self.store.append(self.call, number, started)
            self._begun = True

    def _consent(self, number: int, event: ConsentSet) -> Future[None]:
        self.gate = Gate(ConsentPolicy(event.policy), Consent(event.consent), event.by)
        if self.gate.kept:
            if not self._begun:
                self._begin()
            self.store.append(self.call, number, event)
        elif self.gate.consent is Consent.REFUSED and self._begun:
            erased = self.store.erase([self.call])
            self._begun = False
            self._recent.clear()
            return _with(erased, self._latch())
        return self._latch()

    def _pause(self, number: int, action: Action) -> Future[None]:
        paused = action.what == "pause"
        if not paused:
            self._paused_ms, self.paused_by, self._resumed_ms = None, "", action.at_ms
        elif self._paused_ms is None:
            self._paused_ms, self.paused_by = action.at_ms, action.who
        if paused:  # before the log tells of it: killed in between, the call still goes on paused
            self._latch()
        if self.gate.kept:
            self.store.append(self.call, number, action)
        if not paused:
            return self._latch()
        since_ms = action.at_ms - PAUSE_REACH_MS
        reached = set()
        if action.role != "system":
            reached = {n for n, event in self._recent if (ends := _ends_ms(event)) is not None and ends > since_ms}
        return _with(self._scrub(reached), self.store.flush())

    def _scrub(self, numbers: set[int]) -> Future[None] | None:
        """Take these events from disk; they cannot be written again."""
        if not numbers:
            return None
        self._recent = deque((each for each in self._recent if each[0] not in numbers), maxlen=RECENT)
        return self.store.scrub(self.call, sorted(numbers))

    def _latch(self) -> Future[None]:
        gate = StoredGate(
            self.gate.policy,
            self.gate.consent,
            self.gate.by,
            self._paused_ms,
            self.paused_by,
            stamp(),
        )
        return self.store.latch(self.call, gate)


def _with(taken_out: Future[None] | None, last: Future[None]) -> Future[None]:
    """The receipt of what was written last, which fails where what was to be taken out before it could not be: that is
    known by then. It does not wait for bytes in the write-ahead log, which somebody may be reading.
    """
    if taken_out is None:
        return last
    both: Future[None] = Future()

    def written(_: Future[None]) -> None:
        error = (taken_out.exception() if taken_out.done() else None) or last.exception()
        both.set_result(None) if error is None else both.set_exception(error)

    last.add_done_callback(written)
    return both


def _utterances(event: Event) -> set[str]:
    """Ids of the utterances whose words an event carries because of what was found in them."""
    match event:
        case SignalRaised():
            return {event.signal.evidence.utterance or ""}
        case LevelChange():
            return {signal.evidence.utterance or "" for signal in event.because}
        case PromptShown() | AlertRaised():
            return {key.rpartition("@")[2] for key in event.signals}
    return set()


def _ends_ms(event: Event) -> int | None:
    """When the words an event carries were said, or None where it carries none."""
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
