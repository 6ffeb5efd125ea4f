"""One call, judged: what is heard and done goes in, events come out. Pure: time is an argument, nothing is read."""

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
from assist.privacy.consent import PAUSE_REACH_MS, Consent, Gate
from assist.privacy.redaction import Redactor
from audio.events import Gap, Heard, Hypothesis, Speaker, SpeechActivity, Trouble, Utterance, VoiceMeasure, Word
from detectors.escalation import Escalation
from detectors.signals import Detector, Level, LevelChange, Severity, Signal, Window

MEMORY_MS = 120_000
"""How far back the detectors see."""
TICK_MS = 500
"""Silence, decay and dwell are judged this often; words and measures at once."""

AUTOMATIC = "call-assist"
"""Who pauses where nobody did."""


@dataclass
class Session:
    """The state of one call. Feed it in the order of call time; every method returns what happened because of it."""

    started: CallStarted
    detectors: list[Detector]
    escalation: Escalation
    coach: Coach
    redactor: Redactor = field(default_factory=Redactor)
    gate: Gate = field(default_factory=lambda: Gate(consent=Consent.GRANTED))
    auto_pause: AutoPause | None = None
    """Pauses by itself where a card number is asked for; None: only people pause."""
    now_ms: int = 0
    paused_since: int | None = None
    """Call time at which listening was paused; None while listening."""
    _resumed_ms: int = 0
    _kept_from_ms: int = 0
    """Since when what is said may be kept; words that began before it and come later are not."""
    _reach_ms: int = PAUSE_REACH_MS
    _pause_ends_ms: int | None = None
    """When a pause that began by itself ends by itself."""
    _utterances: dict[str, Utterance | Hypothesis] = field(default_factory=dict)
    """Of the last two minutes: settled words, and every hypothesis shown, also one that no words are agreed on yet."""
    _speaking: dict[Speaker, int] = field(default_factory=dict)
    _stopped: dict[Speaker, int] = field(default_factory=dict)
    _signals: dict[str, Signal] = field(default_factory=dict)
    """What was raised and stands, by key, as it was raised last."""
    _provisional: dict[str, set[str]] = field(default_factory=dict)
    """Utterance id -> keys of signals that stand on its words while they may still change."""
    _alert: AlertRaised | None = None
    _asked: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, target) -> id of what a person has asked for and nobody has answered: asking again is the same alert."""
    _alerts: int = 0
    _next_tick_ms: int = TICK_MS

    @property
    def deaf(self) -> bool:
        """Nothing may be listened to now: a pause, or no consent."""
        return self.paused_since is not None or not self.gate.heard

    def begin(self) -> list[Event]:
        """The first events of the call."""
        return [self.started, self._consent_event()]

    def hear(self, heard: Heard) -> list[Event]:
        """Take what the listener says and judge it."""
        match heard:
            case Utterance() | Hypothesis():
                heard = self._keepable(heard)
                end = heard.end_ms if heard.settled else (heard.words[-1].end_ms if heard.words else heard.start_ms)
                self.now_ms = max(self.now_ms, end)
                known = heard.id in self._utterances or heard.id in self._provisional
                if heard.words or not heard.settled:
                    self._utterances[heard.id] = heard
                else:
                    self._utterances.pop(heard.id, None)
                if heard.settled and not heard.words and not known:
                    return []
                return [heard, *self._judge(latest=heard), *self._pause_for(heard)]
            case VoiceMeasure():
                self.now_ms = max(self.now_ms, heard.at_ms)
                return self._judge(voice=heard)
            case SpeechActivity():
                self.now_ms = max(self.now_ms, heard.at_ms)
                if heard.speaking:
                    self._speaking[heard.speaker] = heard.at_ms
                else:
                    self._speaking.pop(heard.speaker, None)
                    self._stopped[heard.speaker] = heard.at_ms
                return [heard, *self.coach.speech(heard)]
            case Gap() | Trouble():
                return [heard]

    def _keepable(self, heard: Utterance | Hypothesis) -> Utterance | Hypothesis:
        """The words as they may be shown and kept: masked, none from a pause or just before it or before consent."""
        paused = self.paused_since
        words = heard.words if heard.settled else (*heard.agreed, *heard.tentative)
        last_ms = words[-1].end_ms if words else heard.start_ms
        held = paused is not None and last_ms > paused - self._reach_ms
        if held or heard.start_ms < self._resumed_ms or not self.gate.heard:
            return Utterance(heard.id, heard.speaker, heard.start_ms, last_ms, ())
        # Masked whole, cut afterwards: the words from before may be what tells that digits are a card's.
        masked = self.redactor.settled(heard) if heard.settled else self.redactor.provisional(heard)
        return self._agreed_to(masked)

    @property
    def _since_ms(self) -> int:
        """Since when what is said may be kept, where it may; nothing that is written quotes what came before."""
        return self._kept_from_ms if self.gate.kept else 0

    def _agreed_to(self, heard: Utterance | Hypothesis) -> Utterance | Hypothesis:
        """Without the words that began before anything might be kept."""
        since = self._since_ms
        if heard.start_ms >= since:
            return heard
        if heard.settled:
            return replace(heard, words=_from(heard.words, since))
        return replace(heard, agreed=_from(heard.agreed, since), tentative=_from(heard.tentative, since))

    def tick(self, now_ms: int) -> list[Event]:
        """Time has passed: silence, decay, dwell and the recovery clock count too."""
        self.now_ms = max(self.now_ms, now_ms)
        if self.now_ms < self._next_tick_ms:
            return []
        self._next_tick_ms = self.now_ms - self.now_ms % TICK_MS + TICK_MS
        self._forget()
        events = self._go_on() + self._judge()
        events += self._changed(self.escalation.tick(self.now_ms))
        for event in self.coach.tick(self.now_ms):
            events.append(event)
            if isinstance(event, PlanMoved) and event.what == "expired":
                self._over(event.alert)
                events.append(AlertMoved(self.now_ms, event.alert, "expired"))
        return events

    def refuses(self, action: Action) -> str:
        """Why a person cannot do this now, in one plain line; empty where they can. Ask before `act`."""
        return self.coach.refuses(action)

    def act(self, action: Action) -> list[Event]:
        """Somebody did something at a screen."""
        events: list[Event] = [action]
        match action.what:
            case "help":
                events += self._ask("help", action.detail or f"{action.who} asks for help")
            case "plan-asked":
                for asked in self._ask("ask", f"{action.who} asks to give: {action.detail}", action.target):
                    events.append(asked)
                    self.coach.asked(action.target, asked.id, self.now_ms)
            case "resolve" | "plan-answered":
                self._over(action.target)
            case "pause":
                events += self._pause(PAUSE_REACH_MS)
                self._pause_ends_ms = None
                if action.who == AUTOMATIC and self.auto_pause is not None:
                    self._pause_ends_ms = self.now_ms + self.auto_pause.longest_ms
            case "resume":
                self._resume()
            case "consent":
                events += self._consent(Consent(action.detail), action.who)
        return [*events, *self.coach.act(action)]

    def take(self, raised: SignalRaised) -> list[Event]:
        """What stood on sound that is gone: taken as it is logged, unless it has been found again."""
        signal = raised.signal
        self.now_ms = max(self.now_ms, raised.at_ms)
        if signal.key in self._signals:
            return []
        self._signals[signal.key] = signal
        changed = self._changed(self.escalation.update((signal,), self.now_ms))
        return [*changed, *self.coach.hear(self.now_ms, (signal,), None)]

    def follow(self, event: Event) -> None:
        """The call was cut short and its log is judged again: this stands in the log, whatever was judged just now."""
        match event:
            case AlertRaised():
                self._alerts = max(self._alerts, number_of(event.id))
                if event.kind == "escalated":
                    self._alert = event
                elif (event.kind, event.target) in self._asked:
                    self._asked[event.kind, event.target] = event.id
                    if event.kind == "ask":
                        self.coach.asked(event.target, event.id, event.at_ms)
            case SignalWithdrawn():
                self._alert_without(event.key, ())
            case LevelChange(level=Level.CALM):
                self._alert = None
        self.coach.follow(event)

    def end(self, at_ms: int, reason: str, accounted_ms: dict[str, int]) -> list[Event]:
        """The call is over: prompts leave the screen, the last event is written."""
        self.now_ms = max(self.now_ms, at_ms)
        ended = self.coach.end(self.now_ms, cut_short=reason == "interrupted")
        return [*ended, CallEnded(self.now_ms, reason, accounted_ms)]

    def _pause(self, reach_ms: int) -> list[Event]:
        """Stop listening, and take back what is being said and what was said this shortly before."""
        if self.paused_since is not None:
            return []
        self.paused_since = self.now_ms
        self._reach_ms = reach_ms
        cut = self.now_ms - reach_ms
        if reach_ms:
            self.coach.forget(cut)
        events: list[Event] = []
        for heard in list(self._utterances.values()):
            if isinstance(heard, Hypothesis):
                events += self.hear(heard)
            elif heard.words and heard.words[-1].end_ms > cut:
                events += self._take_back(heard, cut)
        return events

    def _take_back(self, said: Utterance, cut_ms: int) -> list[Event]:
        """A settled utterance without its words after `cut_ms`, and without what stood on them."""
        words = tuple(word for word in _from(said.words, self._since_ms) if word.end_ms <= cut_ms)
        shorter = replace(said, words=words)
        if words:
            self._utterances[said.id] = shorter
        else:
            self._utterances.pop(said.id, None)
        standing = [(key, signal.evidence) for key, signal in self._signals.items()]
        gone = [key for key, place in standing if place.utterance == said.id and place.end_ms > cut_ms]
        return [shorter, *(event for key in gone for event in self._unsay(key))]

    def _unsay(self, key: str, instead: Sequence[Signal] = ()) -> list[Event]:
        """A signal whose words are taken back; `instead`: the same finding under another key.

        Prompts go before the level falls: one that a calm call ends has cost something, one that is withdrawn has not.
        """
        self._signals.pop(key, None)
        events: list[Event] = []
        if instead:
            events += self._changed(self.escalation.update(instead, self.now_ms))
        events += self._alert_without(key, instead)
        events.append(SignalWithdrawn(self.now_ms, key))
        events += self.coach.withdraw(key, self.now_ms, instead)
        return events + self._changed(self.escalation.withdraw(key, self.now_ms), withdrawn=True)

    def _resume(self) -> None:
        self._resumed_ms = self.now_ms
        self.paused_since = None
        self._pause_ends_ms = None
        self._listen_again()

    def _listen_again(self) -> None:
        """Nobody knows how long it was quiet while nothing was listened to: that counts from now on."""
        self._stopped = dict.fromkeys(self._stopped, self.now_ms)

    def _pause_for(self, heard: Utterance | Hypothesis) -> list[Event]:
        """Pause by itself where a card number is about to be said."""
        if self.auto_pause is None or self.deaf:
            return []
        reason = self.auto_pause.asks(heard)
        if not reason:
            return []
        self._pause_ends_ms = self.now_ms + self.auto_pause.longest_ms
        return [Action(self.now_ms, AUTOMATIC, "system", "pause", detail=reason), *self._pause(0)]

    def _go_on(self) -> list[Event]:
        """A pause that began by itself ends by itself, if nobody has ended it before."""
        if self._pause_ends_ms is None or self.now_ms < self._pause_ends_ms:
            return []
        self._resume()
        return [Action(self.now_ms, AUTOMATIC, "system", "resume")]

    def _consent(self, consent: Consent, by: str) -> list[Event]:
        """What is known about consent changes; where nothing may be heard any more, nothing stays in memory either."""
        heard, kept = self.gate.heard, self.gate.kept
        self.gate = replace(self.gate, consent=consent, by=by)
        events: list[Event] = [self._consent_event()]
        if self.gate.kept and not kept:
            self._kept_from_ms = self.now_ms
            events += [*self._standing(), *self.coach.consented(self.now_ms)]
        if self.gate.heard and not heard:
            self._listen_again()
        if not self.gate.heard:
            for key in list(self._signals):
                events += self._unsay(key)
            for said in list(self._utterances.values()):
                events.append(Utterance(said.id, said.speaker, said.start_ms, said.start_ms, ()))
            self._utterances.clear()
            self._provisional.clear()
            self.coach.forget(-1)
        return events

    def _standing(self) -> list[Event]:
        """The level at which the log begins, without the words that led to it."""
        level, score = self.escalation.level, round(self.escalation.score, 1)
        return [LevelChange(self.now_ms, level, level, score, ())] if level is not Level.CALM else []

    def _consent_event(self) -> ConsentSet:
        return ConsentSet(self.now_ms, self.gate.consent, self.gate.by, self.gate.policy)

    def _judge(self, latest: Utterance | Hypothesis | None = None, voice: VoiceMeasure | None = None) -> list[Event]:
        spoken = (each for each in map(self._agreed_to, self._utterances.values()) if each.words)
        window = Window(
            now_ms=self.now_ms,
            utterances=tuple(sorted(spoken, key=lambda each: each.start_ms)),
            latest=latest,
            voice=voice,
            speaking_since=dict(self._speaking),
            last_speech_end=dict(self._stopped),
            held=self.deaf,
        )
        events: list[Event] = []
        found: dict[str, Signal] = {}
        for detector in list(self.detectors):
            try:
                for signal in detector(window):
                    found.setdefault(signal.key, signal)
            except Exception as error:  # one broken detector must not end a call: it is switched off, visibly
                self.detectors.remove(detector)
                text = f"detector {detector.name} stopped ({type(error).__name__}); the call goes on without it"
                events.append(Trouble(self.now_ms, f"detector-off:{detector.name}", text))
        found = _whole(found)
        fresh = [signal for key, signal in found.items() if self._is_news(key, signal)]
        for signal in fresh:
            self._signals[signal.key] = signal
            events.append(SignalRaised(self.now_ms, signal))
        if latest is not None:
            events += self._withdraw(latest, found)
        if found:
            events += self._changed(self.escalation.update(tuple(found.values()), self.now_ms))
        if fresh or (latest is not None and latest.settled):
            utterance = latest if isinstance(latest, Utterance) else None
            events += self.coach.hear(self.now_ms, fresh, utterance)
        urgent = tuple(signal for signal in fresh if signal.severity is Severity.URGENT)
        if urgent:
            events += self._alert_for(urgent, Severity.URGENT)
        return events

    def _is_news(self, key: str, signal: Signal) -> bool:
        known = self._signals.get(key)
        return known is None or (signal.settled and not known.settled)

    def _withdraw(self, latest: Utterance | Hypothesis, found: dict[str, Signal]) -> list[Event]:
        """Take back what stood on words of this utterance that did not hold.

        Only once they have settled: half a sentence is heard in one way and in another with each word that is added,
        and nobody shall see a card leave and come back.
        """
        if not latest.settled:
            provisional = self._provisional.setdefault(latest.id, set())
            provisional.update(key for key, signal in found.items() if not signal.settled)
            return []
        events: list[Event] = []
        for key in sorted(self._provisional.pop(latest.id, set()) - found.keys()):
            events += self._unsay(key, self._instead_of(key, found))
        return events

    def _instead_of(self, key: str, found: dict[str, Signal]) -> tuple[Signal, ...]:
        """What else says of the same utterance what this signal did, and no less gravely."""
        gone = self._signals.get(key)
        if gone is None:
            return ()
        place = gone.evidence.utterance
        alike = (signal for signal in found.values() if (signal.id, signal.evidence.utterance) == (gone.id, place))
        return tuple(signal for signal in alike if signal.severity >= gone.severity)

    def _changed(self, change: LevelChange | None, *, withdrawn: bool = False) -> list[Event]:
        if change is None:
            return []
        since = self._since_ms
        because = tuple(signal for signal in change.because if not since or signal.evidence.end_ms > since)
        change = replace(change, because=because)
        events: list[Event] = [change, *self.coach.level(change, withdrawn=withdrawn)]
        if change.level is Level.ESCALATED:
            events += self._alert_for(change.because, Severity.HELP)
        elif change.level is Level.CALM:
            self._alert = None
        return events

    def _alert_for(self, signals: Sequence[Signal], tier: Severity) -> list[Event]:
        """One open alert per call, raised once more only when it has become more urgent."""
        if self._alert is not None and self._alert.tier >= tier:
            return []
        return [self._raise(self._alert.id if self._alert is not None else self._alert_id(), signals, tier)]

    def _alert_without(self, key: str, instead: Sequence[Signal]) -> list[Event]:
        """Where nothing stands any more that the open alert was raised for, what comes raises a new one.

        The boards keep the old one, without its words, until somebody ends it.
        """
        alert = self._alert
        if alert is None or key not in alert.signals or any(each in self._signals for each in alert.signals):
            return []
        if instead:
            return [self._raise(alert.id, instead, alert.tier)]
        self._alert = None
        return []

    def _raise(self, identifier: str, signals: Sequence[Signal], tier: Severity) -> AlertRaised:
        reasons = [each.evidence.in_words for each in signals]
        reason = ", ".join(dict.fromkeys(text for text in reasons[:3] if text)) or "The call has escalated"
        self._alert = AlertRaised(self.now_ms, identifier, tier, reason, tuple(signal.key for signal in signals))
        return self._alert

    def _over(self, alert: str) -> None:
        """An alert has been dealt with: the same thing may be asked again, the call may alert again."""
        self._asked = {asked: known for asked, known in self._asked.items() if known != alert}
        if self._alert is not None and self._alert.id == alert:
            self._alert = None

    def _ask(self, kind: str, reason: str, target: str = "") -> list[AlertRaised]:
        """What a person asks for is an alert of its own; asked again while it is open, it is the same one."""
        if (kind, target) in self._asked:
            return []
        self._asked[kind, target] = f"a{self._alerts + 1}"
        return [AlertRaised(self.now_ms, self._alert_id(), Severity.HELP, reason, (), kind, target)]

    def _alert_id(self) -> str:
        self._alerts += 1
        return f"a{self._alerts}"

    def _forget(self) -> None:
        horizon = self.now_ms - MEMORY_MS
        for key, utterance in list(self._utterances.items()):
            if utterance.start_ms < horizon:
                del self._utterances[key]


def _whole(found: dict[str, Signal]) -> dict[str, Signal]:
    """Without what is urgent and quotes no more than a part of what another rule quotes for the same."""
    urgent = [signal for signal in found.values() if signal.severity is Severity.URGENT and signal.evidence.quote]
    kept: list[Signal] = []
    for signal in sorted(urgent, key=lambda each: each.evidence.start_ms - each.evidence.end_ms):
        if not any(_is_part(signal, other) for other in kept):
            kept.append(signal)
    gone = {signal.key for signal in urgent} - {signal.key for signal in kept}
    return {key: signal for key, signal in found.items() if key not in gone}


def _is_part(signal: Signal, other: Signal) -> bool:
    words, more = signal.evidence, other.evidence
    same = (signal.id, words.utterance) == (other.id, more.utterance)
    return same and more.start_ms <= words.start_ms and words.end_ms <= more.end_ms


def _from(words: tuple[Word, ...], since_ms: int) -> tuple[Word, ...]:
    return tuple(word for word in words if word.start_ms >= since_ms)
