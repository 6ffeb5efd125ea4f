"""The state machine of one call: recognised words and actions go in, events come out.

Pure: time is an argument, nothing is read from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from assist.coach.coach import Coach
from assist.events import (
    Action,
    AlertMoved,
    AlertRaised,
    CallEnded,
    CallStarted,
    ConsentSet,
    Event,
    PlanMoved,
    SignalRaised,
    SignalWithdrawn,
    number_of,
)
from assist.privacy.autopause import AutoPause
from assist.privacy.consent import Consent, Gate
from assist.privacy.pauses import AUTO_PAUSE_USER, Pauses
from assist.privacy.redaction import Redactor
from audio.events import Gap, Heard, Hypothesis, Speaker, SpeechActivity, Trouble, Utterance, VoiceMeasure, Word
from detectors.escalation import Escalation
from detectors.signals import SIGNAL_IDS, Detector, Level, LevelChange, Severity, Signal, Window

WINDOW_MS = 120_000
"""Length of the window that the detectors see."""
TICK_MS = 500
"""Silence, score decay and dwell times are judged this often; words and voice measures at once."""


class UnknownSignalError(Exception):
    """A detector raises a signal that nothing would weigh, answer or show."""


@dataclass
class Session:
    """The state of one call. Feed it in order of call time (ms since the call began); methods return the new events."""

    started: CallStarted
    detectors: list[Detector]
    escalation: Escalation
    coach: Coach
    redactor: Redactor = field(default_factory=Redactor)
    gate: Gate = field(default_factory=lambda: Gate(consent=Consent.GRANTED))
    auto_pause: AutoPause | None = None
    """Pauses automatically where a card number is asked for; None: only people pause."""
    now_ms: int = 0
    pauses: Pauses = field(default_factory=Pauses)
    _consented_ms: int = 0
    """When consent was granted, 0 if from the start; words begun before it are not stored, however late they come."""
    _auto_resume_ms: int | None = None
    """When an automatic pause ends at the latest; None: no such pause."""
    _utterances: dict[str, Utterance | Hypothesis] = field(default_factory=dict)
    """Within WINDOW_MS, by id: settled utterances and every hypothesis shown, also those without agreed words yet."""
    _speaking_since: dict[Speaker, int] = field(default_factory=dict)
    _last_speech_end: dict[Speaker, int] = field(default_factory=dict)
    _active_signals: dict[str, Signal] = field(default_factory=dict)
    """By key: signals raised and not withdrawn, as last raised."""
    _provisional: dict[str, set[str]] = field(default_factory=dict)
    """Utterance id -> keys of signals found in it while its words may still change."""
    _open_alert: AlertRaised | None = None
    _open_requests: dict[tuple[str, str], AlertRaised] = field(default_factory=dict)
    """(kind, target) -> alert of a request that nobody has answered; the same request raises no second one."""
    _alert_count: int = 0
    _next_tick_ms: int = TICK_MS

    @property
    def paused_since(self) -> int | None:
        """Call time at which listening was paused; None while listening."""
        return self.pauses.since_ms

    @property
    def suspended(self) -> bool:
        """Whether nothing may be transcribed now: paused, or no consent."""
        return self.paused_since is not None or not self.gate.may_transcribe

    def begin(self) -> list[Event]:
        """The first events of the call."""
        return [self.started, self._consent_event()]

    def hear(self, heard: Heard) -> list[Event]:
        """Process what the listener reports: run the detectors on words and voice measures."""
        match heard:
            case Utterance() | Hypothesis():
                heard, missed = self._redacted(heard)
                end = heard.end_ms if heard.settled else (heard.words[-1].end_ms if heard.words else heard.start_ms)
                self.now_ms = max(self.now_ms, end)
                known = heard.id in self._utterances or heard.id in self._provisional
                if heard.words or not heard.settled:
                    self._utterances[heard.id] = heard
                else:
                    self._utterances.pop(heard.id, None)
                if heard.settled and not heard.words and not known:
                    return [*missed]
                return [*missed, heard, *self._detect(latest=heard), *self._auto_pause_for(heard)]
            case VoiceMeasure():
                self.now_ms = max(self.now_ms, heard.at_ms)
                return self._detect(voice=heard)
            case SpeechActivity():
                self.now_ms = max(self.now_ms, heard.at_ms)
                if heard.speaking:
                    self._speaking_since[heard.speaker] = heard.at_ms
                else:
                    self._speaking_since.pop(heard.speaker, None)
                    self._last_speech_end[heard.speaker] = heard.at_ms
                return [heard, *self.coach.speech_changed(heard)]
            case Gap() | Trouble():
                return [heard]

    def _redacted(self, heard: Utterance | Hypothesis) -> tuple[Utterance | Hypothesis, Sequence[Gap]]:
        """The words that may be shown and stored: masked, none from a pause or its lookback or before consent.

        With the gap that a pause leaves where it takes settled words from before it.
        """
        words = heard.words if heard.settled else (*heard.agreed, *heard.tentative)
        end_ms = words[-1].end_ms if words else heard.start_ms
        if heard.settled:
            end_ms = max(end_ms, heard.end_ms)
        paused_ms = self.pauses.taker(heard.start_ms, end_ms)
        if paused_ms is not None or not self.gate.may_transcribe:
            nothing = Utterance(heard.id, heard.speaker, heard.start_ms, end_ms, ())
            if not heard.settled or not words or paused_ms is None or heard.start_ms >= paused_ms:
                return nothing, ()
            return nothing, [Gap(heard.speaker, heard.start_ms, min(end_ms, paused_ms), "paused")]
        # Masked whole, cut afterwards: the words from before may be what tells that digits are a card's.
        masked = self.redactor.redact_utterance(heard) if heard.settled else self.redactor.redact_hypothesis(heard)
        return self._storable(masked), ()

    @property
    def _storable_from_ms(self) -> int:
        """From when on words may be stored, 0 while nothing is stored; no stored event may quote earlier words."""
        return self._consented_ms if self.gate.may_store else 0

    def _storable(self, heard: Utterance | Hypothesis) -> Utterance | Hypothesis:
        """The words from `_storable_from_ms` on."""
        since = self._storable_from_ms
        if heard.start_ms >= since:
            return heard
        if heard.settled:
            return replace(heard, words=_words_since(heard.words, since))
        return replace(heard, agreed=_words_since(heard.agreed, since), tentative=_words_since(heard.tentative, since))

    def tick(self, now_ms: int) -> list[Event]:
        """Call time has passed: silence, score decay, dwell times and the recovery clock depend on it."""
        self.now_ms = max(self.now_ms, now_ms)
        if self.now_ms < self._next_tick_ms:
            return []
        self._next_tick_ms = self.now_ms - self.now_ms % TICK_MS + TICK_MS
        self._drop_old_utterances()
        events = self._end_auto_pause() + self._detect()
        events += self._level_events(self.escalation.tick(self.now_ms))
        for event in self.coach.tick(self.now_ms):
            events.append(event)
            if isinstance(event, PlanMoved) and event.what == "expired":
                self._close_alert(event.alert)
                events.append(AlertMoved(self.now_ms, event.alert, "expired"))
        return events

    def refusal(self, action: Action) -> str:
        """Why a person cannot do this now, in one plain line; empty where they can. Ask before `act`."""
        return self.coach.refusal(action)

    def act(self, action: Action) -> list[Event]:
        """Apply an action of a person at a screen."""
        events: list[Event] = [action]
        match action.what:
            case "help":
                events += self._request_alert("help", action.detail or f"{action.who} asks for help")
            case "plan-asked":
                for asked in self._request_alert("ask", f"{action.who} asks to give: {action.detail}", action.target):
                    events.append(asked)
                    self.coach.plan_requested(action.target, asked.id, self.now_ms)
            case "resolve" | "plan-answered":
                self._close_alert(action.target)
            case "pause":
                events += self._pause(action.who)
            case "resume" if self.paused_since is not None:  # else what is being said now would be lost
                self._resume()
            case "consent":
                events += self._consent(Consent(action.detail), action.who)
        return [*events, *self.coach.act(action)]

    def restore_signal(self, raised: SignalRaised) -> list[Event]:
        """Restore a logged signal whose audio is gone (a raised voice), unless it has been found again."""
        signal = raised.signal
        self.now_ms = max(self.now_ms, raised.at_ms)
        if signal.key in self._active_signals:
            return []
        self._active_signals[signal.key] = signal
        changed = self._level_events(self.escalation.update((signal,), self.now_ms))
        return [*changed, *self.coach.hear(self.now_ms, (signal,), None)]

    def adopt_logged(self, event: Event) -> None:
        """While an interrupted call is rebuilt: adopt alerts and prompts as logged, even where the replay differs."""
        match event:
            case AlertRaised():
                self._alert_count = max(self._alert_count, number_of(event.id))
                if event.kind == "escalated":
                    self._open_alert = event
                elif event.kind in ("help", "ask"):
                    self._open_requests[event.kind, event.target] = event
                    if event.kind == "ask":
                        self.coach.plan_requested(event.target, event.id, event.at_ms)
            case SignalWithdrawn():
                self._withdraw_from_alert(event.key, ())
            case LevelChange(level=Level.CALM):
                self._open_alert = None
        self.coach.restore(event)

    def quotes(self, keys: Sequence[str]) -> list[str]:
        """The words that led to these signals, without those that were taken back or may not be stored."""
        if not self.gate.may_store:
            return []
        evidence = [signal.evidence for key in keys if (signal := self._active_signals.get(key)) is not None]
        return [each.quote for each in evidence if each.quote and each.start_ms >= self._storable_from_ms]

    def sound_ended(self) -> None:
        """Nobody is on the line any more: the last words still settle, but there is nobody to prompt."""
        self.coach.sound_ended()

    def end(self, at_ms: int, reason: str, accounted_ms: dict[str, int]) -> list[Event]:
        """The call is over: prompts are ended, CallEnded is the last event."""
        self.now_ms = max(self.now_ms, at_ms)
        ended = self.coach.end(self.now_ms, interrupted=reason == "interrupted")
        return [*ended, CallEnded(self.now_ms, reason, accounted_ms)]

    def _pause(self, by: str) -> list[Event]:
        """Stop transcribing; withdraw what is being said and, unless the pause is automatic, what was said just before.

        Over an automatic pause, too: what was said just before that one is then taken back after all.
        """
        cut_ms = self.pauses.begin(self.now_ms, by)
        self._auto_resume_ms = None
        if self.pauses.by == AUTO_PAUSE_USER and self.auto_pause is not None:
            self._auto_resume_ms = self.now_ms + self.auto_pause.max_pause_ms
        if cut_ms is None:
            return []
        if by != AUTO_PAUSE_USER:
            self.coach.forget(cut_ms)
        events: list[Event] = []
        for heard in list(self._utterances.values()):
            if isinstance(heard, Hypothesis):
                events += self.hear(heard)
            elif heard.words and heard.words[-1].end_ms > cut_ms:
                events += self._truncate(heard, cut_ms)
        return events

    def _truncate(self, said: Utterance, cut_ms: int) -> list[Event]:
        """Remove the words after `cut_ms` from a settled utterance and withdraw the signals found in them."""
        words = tuple(word for word in _words_since(said.words, self._storable_from_ms) if word.end_ms <= cut_ms)
        shorter = replace(said, words=words)
        if words:
            self._utterances[said.id] = shorter
        else:
            self._utterances.pop(said.id, None)
        active = [(key, signal.evidence) for key, signal in self._active_signals.items()]
        withdrawn = [key for key, evidence in active if evidence.utterance == said.id and evidence.end_ms > cut_ms]
        return [shorter, *(event for key in withdrawn for event in self._withdraw_signal(key))]

    def _withdraw_signal(self, key: str, replacements: Sequence[Signal] = ()) -> list[Event]:
        """Withdraw a signal; `replacements` are signals that say the same under other keys.

        Prompts are withdrawn before the level falls: else the coach counts them as ended by the calm call, at a cost.
        """
        self._active_signals.pop(key, None)
        events: list[Event] = []
        if replacements:
            events += self._level_events(self.escalation.update(replacements, self.now_ms))
        events += self._withdraw_from_alert(key, replacements)
        events.append(SignalWithdrawn(self.now_ms, key))
        events += self.coach.withdraw(key, self.now_ms, replacements)
        return events + self._level_events(self.escalation.withdraw(key, self.now_ms), withdrawn=True)

    def _resume(self) -> None:
        self.pauses.end(self.now_ms)
        if self._auto_resume_ms is not None:
            self.redactor.expect_card(self.now_ms)
        self._auto_resume_ms = None
        self._restart_silence()

    def _restart_silence(self) -> None:
        """Measure silence from now on: how long it was silent during the pause is unknown."""
        self._last_speech_end = dict.fromkeys(self._last_speech_end, self.now_ms)

    def _auto_pause_for(self, heard: Utterance | Hypothesis) -> list[Event]:
        """Pause automatically where a card number is about to be said."""
        if self.auto_pause is None or self.suspended:
            return []
        reason = self.auto_pause.reason_to_pause(heard)
        if not reason:
            return []
        return [Action(self.now_ms, AUTO_PAUSE_USER, "system", "pause", detail=reason), *self._pause(AUTO_PAUSE_USER)]

    def _end_auto_pause(self) -> list[Event]:
        """Resume when an automatic pause has lasted its maximum, unless somebody resumed before."""
        if self._auto_resume_ms is None or self.now_ms < self._auto_resume_ms:
            return []
        self._resume()
        return [Action(self.now_ms, AUTO_PAUSE_USER, "system", "resume")]

    def _consent(self, consent: Consent, by: str) -> list[Event]:
        """Apply a change of consent; where nothing may be transcribed any more, drop all words from memory."""
        heard, kept = self.gate.may_transcribe, self.gate.may_store
        self.gate = replace(self.gate, consent=consent, by=by)
        events: list[Event] = [self._consent_event()]
        if self.gate.may_store and not kept:
            self._consented_ms = self.now_ms
            events += [*self._initial_level(), *self.coach.consented(self.now_ms), *self._initial_alerts()]
        if self.gate.may_transcribe and not heard:
            self._restart_silence()
        if not self.gate.may_transcribe:
            for key in list(self._active_signals):
                events += self._withdraw_signal(key)
            for said in list(self._utterances.values()):
                events.append(Utterance(said.id, said.speaker, said.start_ms, said.start_ms, ()))
            self._utterances.clear()
            self._provisional.clear()
            self.coach.forget(-1)
        return events

    def _initial_level(self) -> list[Event]:
        """The level when storing begins, without the signals that led to it."""
        level, score = self.escalation.level, round(self.escalation.score, 1)
        return [LevelChange(self.now_ms, level, level, score, ())]

    def _initial_alerts(self) -> list[AlertRaised]:
        """The alerts that are open when storing begins, for its log, without the signals that led to them."""
        alerts = [*self._open_requests.values()]
        if self._open_alert is not None:
            alerts.append(replace(self._open_alert, reason=alert_reason(()), signals=()))
        return [replace(alert, at_ms=self.now_ms) for alert in sorted(alerts, key=lambda each: number_of(each.id))]

    def _consent_event(self) -> ConsentSet:
        return ConsentSet(self.now_ms, self.gate.consent, self.gate.by, self.gate.policy)

    def _detect(self, latest: Utterance | Hypothesis | None = None, voice: VoiceMeasure | None = None) -> list[Event]:
        spoken = (each for each in map(self._storable, self._utterances.values()) if each.words)
        window = Window(
            now_ms=self.now_ms,
            utterances=tuple(sorted(spoken, key=lambda each: each.start_ms)),
            latest=latest,
            voice=voice,
            speaking_since=dict(self._speaking_since),
            last_speech_end=dict(self._last_speech_end),
            held=self.suspended,
        )
        events: list[Event] = []
        found: dict[str, Signal] = {}
        for detector in list(self.detectors):
            try:
                for signal in detector(window):
                    if signal.id not in SIGNAL_IDS:
                        raise UnknownSignalError(f"{signal.id!r} is none of SIGNAL_IDS in detectors/signals.py")
                    found.setdefault(signal.key, signal)
            except Exception as error:  # one broken detector must not end a call: it is switched off, visibly
                self.detectors.remove(detector)
                why = str(error) if isinstance(error, UnknownSignalError) else type(error).__name__
                text = f"detector {detector.name} stopped ({why}); the call goes on without it"
                events.append(Trouble(self.now_ms, f"detector-off:{detector.name}", text))
        found = _without_contained(found)
        if latest is not None and latest.settled:
            events += self._withdraw_weakened(latest, found)
        new = [signal for key, signal in found.items() if self._is_new(key, signal)]
        for signal in new:
            self._active_signals[signal.key] = signal
            events.append(SignalRaised(self.now_ms, signal))
        if latest is not None:
            events += self._withdraw_unconfirmed(latest, found)
        if found:
            events += self._level_events(self.escalation.update(tuple(found.values()), self.now_ms))
        if new or (latest is not None and latest.settled):
            utterance = latest if isinstance(latest, Utterance) else None
            events += self.coach.hear(self.now_ms, new, utterance)
        urgent = tuple(signal for signal in new if signal.severity is Severity.URGENT)
        if urgent:
            events += self._raise_or_upgrade(urgent, Severity.URGENT)
        return events

    def _is_new(self, key: str, signal: Signal) -> bool:
        known = self._active_signals.get(key)
        return known is None or signal.severity > known.severity or (signal.settled and not known.settled)

    def _withdraw_weakened(self, latest: Utterance, found: dict[str, Signal]) -> list[Event]:
        """Withdraw this utterance's provisional signals that its settled words make less of; they are raised anew.

        What was a cue and is a note now must not keep the level, the alert and the prompt that the cue has led to.
        """
        events: list[Event] = []
        for key in sorted(self._provisional.get(latest.id, set()) & found.keys()):
            known = self._active_signals.get(key)
            if known is not None and found[key].severity < known.severity:
                events += self._withdraw_signal(key, self._replacements(key, found))
        return events

    def _withdraw_unconfirmed(self, latest: Utterance | Hypothesis, found: dict[str, Signal]) -> list[Event]:
        """Withdraw this utterance's provisional signals that its settled words do not confirm.

        Only once it has settled: a hypothesis changes with each word added, and prompts must not flicker.
        """
        if not latest.settled:
            provisional = self._provisional.setdefault(latest.id, set())
            provisional.update(key for key, signal in found.items() if not signal.settled)
            return []
        events: list[Event] = []
        for key in sorted(self._provisional.pop(latest.id, set()) - found.keys()):
            events += self._withdraw_signal(key, self._replacements(key, found))
        return events

    def _replacements(self, key: str, found: dict[str, Signal]) -> tuple[Signal, ...]:
        """Signals found with the same id in the same utterance and at least as severe."""
        old = self._active_signals.get(key)
        if old is None:
            return ()
        same = (old.id, old.evidence.utterance)
        alike = (signal for signal in found.values() if (signal.id, signal.evidence.utterance) == same)
        return tuple(signal for signal in alike if signal.severity >= old.severity)

    def _level_events(self, change: LevelChange | None, *, withdrawn: bool = False) -> list[Event]:
        if change is None:
            return []
        since = self._storable_from_ms
        because = tuple(signal for signal in change.because if not since or signal.evidence.end_ms > since)
        change = replace(change, because=because)
        events: list[Event] = [change, *self.coach.level_changed(change, withdrawn=withdrawn)]
        if change.level is Level.ESCALATED:
            urgent = tuple(signal for signal in because if signal.severity is Severity.URGENT)
            events += self._raise_or_upgrade(urgent or because, Severity.URGENT if urgent else Severity.HELP)
        elif change.level is Level.CALM:
            self._open_alert = None
        return events

    def _raise_or_upgrade(self, signals: Sequence[Signal], tier: Severity) -> list[Event]:
        """At most one escalation alert is open per call; it is raised again only with a higher tier."""
        if self._open_alert is not None and self._open_alert.tier >= tier:
            return []
        identifier = self._open_alert.id if self._open_alert is not None else self._new_alert_id()
        return [self._raise_alert(identifier, signals, tier)]

    def _withdraw_from_alert(self, key: str, replacements: Sequence[Signal]) -> list[Event]:
        """Close the open alert if all signals it was raised for are withdrawn, or raise it again for `replacements`.

        Supervisors' boards keep the closed one, without its quotes, until somebody resolves it.
        """
        alert = self._open_alert
        if alert is None or key not in alert.signals or any(each in self._active_signals for each in alert.signals):
            return []
        if replacements:
            return [self._raise_alert(alert.id, replacements, alert.tier)]
        self._open_alert = None
        return []

    def _raise_alert(self, identifier: str, signals: Sequence[Signal], tier: Severity) -> AlertRaised:
        keys = tuple(signal.key for signal in signals)
        self._open_alert = AlertRaised(self.now_ms, identifier, tier, alert_reason(signals), keys)
        return self._open_alert

    def _close_alert(self, alert: str) -> None:
        """An alert is resolved or expired: the same request, or an escalation, may raise a new one."""
        self._open_requests = {asked: known for asked, known in self._open_requests.items() if known.id != alert}
        if self._open_alert is not None and self._open_alert.id == alert:
            self._open_alert = None

    def _request_alert(self, kind: str, reason: str, target: str = "") -> list[AlertRaised]:
        """Alert supervisors to a request; repeated while it is open, it raises nothing."""
        if (kind, target) in self._open_requests:
            return []
        alert = AlertRaised(self.now_ms, self._new_alert_id(), Severity.HELP, reason, (), kind, target)
        self._open_requests[kind, target] = alert
        return [alert]

    def _new_alert_id(self) -> str:
        self._alert_count += 1
        return f"a{self._alert_count}"

    def _drop_old_utterances(self) -> None:
        horizon = self.now_ms - WINDOW_MS
        for key, utterance in list(self._utterances.items()):
            if utterance.start_ms < horizon:
                del self._utterances[key]


def alert_reason(signals: Sequence[Signal]) -> str:
    """What an escalation alert says of the signals it was raised for: the words heard, or what was measured."""
    reasons = [each.evidence.in_words for each in signals]
    return ", ".join(dict.fromkeys(text for text in reasons[:3] if text)) or "The call has escalated"


def _without_contained(found: dict[str, Signal]) -> dict[str, Signal]:
    """Without urgent signals whose quote is contained in that of another signal with the same id."""
    urgent = [signal for signal in found.values() if signal.severity is Severity.URGENT and signal.evidence.quote]
    kept: list[Signal] = []
    for signal in sorted(urgent, key=lambda each: each.evidence.start_ms - each.evidence.end_ms):
        if not any(_is_contained(signal, other) for other in kept):
            kept.append(signal)
    dropped = {signal.key for signal in urgent} - {signal.key for signal in kept}
    return {key: signal for key, signal in found.items() if key not in dropped}


def _is_contained(signal: Signal, other: Signal) -> bool:
    inner, outer = signal.evidence, other.evidence
    same = (signal.id, inner.utterance) == (other.id, outer.utterance)
    return same and outer.start_ms <= inner.start_ms and inner.end_ms <= outer.end_ms


def _words_since(words: tuple[Word, ...], since_ms: int) -> tuple[Word, ...]:
    return tuple(word for word in words if word.start_ms >= since_ms)
