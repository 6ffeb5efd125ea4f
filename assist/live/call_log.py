"""Writes a call's events to the store: nothing without consent; a pause deletes the events of its lookback again.

The gate (consent, policy, pause) is stored before a page is told of a change, and read back when an interrupted call is
resumed: a call that was paused is still paused, a consent refused is still refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from assist.coach.matching import source_end_ms
from assist.events import (
    Action,
    AlertRaised,
    CallEnded,
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
from assist.live.session import Session, alert_reason
from assist.privacy.consent import PAUSE_LOOKBACK_MS, Consent, ConsentPolicy, Gate
from assist.privacy.pauses import Pauses
from assist.store.rows import StoredGate, stamp
from assist.store.store import Store
from audio.events import Utterance
from detectors.signals import LevelChange, Signal

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
    pauses: Pauses = field(default_factory=Pauses)
    """As the session has them."""
    _started: tuple[int, CallStarted] | None = None
    _stored: bool = False
    _log_paused: bool = False
    """Whether the call is paused by what is stored of it."""
    _unwritten_pause: tuple[int, Action] | None = None
    """The pause, or resumption, since which that is no longer so: nothing could be stored then."""
    _recent: deque[tuple[int, Event]] = field(default_factory=lambda: deque(maxlen=MAX_RECENT))

    @property
    def paused_by(self) -> str:
        """Who holds the pause; empty while listening."""
        return self.pauses.by

    @property
    def has_stored(self) -> bool:
        """Whether anything of this call is on disk."""
        return self._stored

    def restore(self, session: Session) -> None:
        """Restore the stored gate of a call that is resumed; a new call keeps its own."""
        stored = self.store.gate(self.call)
        if stored is not None:
            session.gate = Gate(ConsentPolicy(stored.policy), Consent(stored.consent), stored.by)
            session.pauses.restore(stored.paused_ms, stored.paused_by)
            self.pauses.restore(stored.paused_ms, stored.paused_by)
        self._stored = bool(self.store.raw_events(self.call))  # also without a stored gate
        self._log_paused = self._stored and self.pauses.since_ms is not None
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
            case CallEnded() if self._stored:  # also where its last part is not kept: it was not cut short
                self.store.append(self.call, number, event)
                return None
        if self.gate.may_store:
            self.store.append(self.call, number, event)
            self._recent.append((number, event))
            if isinstance(event, Utterance) and not event.words:
                self._scrub_utterance(event)
        return None

    def end(self) -> Future[None]:
        """The call is over and nothing of it is kept: it cannot be resumed."""
        return self._set_gate(ended=True)

    def _scrub_utterance(self, said: Utterance) -> None:
        """Take back what is stored about a hypothesis whose words a pause has withdrawn."""
        if self.pauses.taker(said.start_ms, said.end_ms) is None:
            return
        keys = {key for _, event in self._recent for key in _signal_keys(event) if key.rpartition("@")[2] == said.id}
        if keys:
            self.receipt = _joined(self._take_back(set(), keys), self.store.flush())

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
            if self._unwritten_pause is not None:
                self.store.append(self.call, *self._unwritten_pause)
                self._log_paused, self._unwritten_pause = not self._log_paused, None
            self.store.append(self.call, number, event)
        elif self.gate.consent is Consent.REFUSED and self._stored:
            erased = self.store.erase([self.call])
            self._stored = self._log_paused = False
            self._recent.clear()
            return _joined(erased, self._set_gate())
        elif self._stored:  # from here on nothing is kept: the record says so
            self.store.append(self.call, number, event)
        return self._set_gate()

    def _pause(self, number: int, action: Action) -> Future[None]:
        paused = action.what == "pause"
        if not paused:
            self.pauses.end(action.at_ms)
        else:
            self.pauses.begin(action.at_ms, action.who)
            # Before the action is logged: if killed in between, the call is still resumed paused.
            self._set_gate()
        if self.gate.may_store:
            self.store.append(self.call, number, action)
            self._log_paused = paused
        elif paused is self._log_paused:
            self._unwritten_pause = None
        elif self._unwritten_pause is None:
            self._unwritten_pause = number, replace(action, detail="")
        if not paused:
            return self._set_gate()
        erasure = None
        if action.role != "system":
            erasure = self._take_back_since(action.at_ms - PAUSE_LOOKBACK_MS)
        return _joined(erasure, self.store.flush())

    def _take_back_since(self, since_ms: int) -> Future[None] | None:
        """Take back what contains or quotes words that ended after `since_ms`, or was concluded from them."""
        numbers: set[int] = set()
        keys: set[str] = set()
        stored: set[str] = set()
        heard: list[Utterance] = []
        by_hand = False
        for number, event in self._recent:
            match event:
                case Action():
                    by_hand = True
                case Utterance() if event.words:
                    by_hand = False
                    heard.append(event)
                case SignalRaised() | LevelChange():
                    signals = event.because if isinstance(event, LevelChange) else (event.signal,)
                    stored |= {signal.key for signal in signals}
                    keys |= {signal.key for signal in signals if _quotes_since(signal, since_ms)}
                case AlertRaised() | PromptShown() if event.at_ms > since_ms:
                    keys |= set(event.signals) - stored  # never stored: it may be of any words
            if _words_end_ms(event, heard, by_hand=by_hand) > since_ms:
                numbers.add(number)
        return self._take_back(numbers, keys)

    def _take_back(self, numbers: set[int], keys: set[str]) -> Future[None] | None:
        """Delete these events, and these signals from all others: what stands on other signals too stays without."""
        reached = [each for each in self._recent if each[0] in numbers or not keys.isdisjoint(_signal_keys(each[1]))]
        signals = {event.signal.key: event.signal for _, event in self._recent if isinstance(event, SignalRaised)}
        erasure = self._erase_events({number for number, _ in reached})
        for number, event in reached:
            left = None if number in numbers else _without_signals(event, keys, signals)
            if left is not None:
                self.store.append(self.call, number, left)
                self._recent.append((number, left))
        return erasure

    def _erase_events(self, numbers: set[int]) -> Future[None] | None:
        """Delete these events from disk; they cannot be written again."""
        if not numbers:
            return None
        self._recent = deque((each for each in self._recent if each[0] not in numbers), maxlen=MAX_RECENT)
        return self.store.erase_events(self.call, sorted(numbers))

    def _set_gate(self, *, ended: bool = False) -> Future[None]:
        gate = StoredGate(
            self.gate.policy,
            self.gate.consent,
            self.gate.by,
            self.pauses.since_ms,
            self.pauses.by,
            stamp(),
            ended,
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


def _signal_keys(event: Event) -> tuple[str, ...]:
    """Keys of the signals that an event quotes."""
    match event:
        case SignalRaised():
            return (event.signal.key,)
        case LevelChange():
            return tuple(signal.key for signal in event.because)
        case PromptShown() | AlertRaised():
            return event.signals
    return ()


def _without_signals(event: Event, keys: set[str], signals: Mapping[str, Signal]) -> Event | None:
    """The event without the signals of these keys; None where only they were its reason.

    `signals`: all by their keys, for the reason that is left. A level stays: what it was is no word that was said.
    """
    match event:
        case LevelChange():
            return replace(event, because=tuple(signal for signal in event.because if signal.key not in keys))
        case AlertRaised() | PromptShown():
            left = tuple(key for key in event.signals if key not in keys)
            if not left:
                return None
            if isinstance(event, PromptShown):
                return replace(event, signals=left, why=())
            return replace(event, signals=left, reason=alert_reason([signals[key] for key in left if key in signals]))
    return None


def _quotes_since(signal: Signal, since_ms: int) -> bool:
    """Whether a signal is of words that ended after `since_ms`; what was only measured quotes none."""
    evidence = signal.evidence
    return bool(evidence.quote or evidence.utterance) and evidence.end_ms > since_ms


def _words_end_ms(event: Event, heard: Sequence[Utterance], *, by_hand: bool) -> int:
    """The end of the words that an event contains or came of; 0 where it came of none (signals: `_quotes_since`).

    Args:
        event: the event.
        heard: the settled utterances before it, itself included. Where none has its words it is judged by the latest.
        by_hand: it followed from somebody's action; then it may still contain words from before.
    """
    match event:
        case Utterance():
            return event.words[-1].end_ms if event.words else 0
        case HandOffNoted():
            words = ""
        case PlanMoved(by="words") | StepTicked(by="words"):
            words = event.words
        case PromptEnded() if event.words:
            words = event.words
        case FollowUpNoted() if event.words or not by_hand:
            words = event.words
        case _:
            return 0
    return source_end_ms(words, heard)
